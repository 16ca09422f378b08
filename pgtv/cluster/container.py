"""A throwaway PostgreSQL in a container: start, stop, kill; the verbs of a local server.

Any image works that takes the variables of the well-known `postgres` images and starts a server on
port 5432; `tools/make-image` makes one with the extension inside. The server is reachable on the
loopback interface only, over TCP and with a password, as a database of an application would be.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgtv.cluster.binaries import RELEASE
from pgtv.errors import ClusterError

if TYPE_CHECKING:
    import psycopg

IMAGE = f"pgtv-postgres:18-{RELEASE}"
HOST = "127.0.0.1"
PORT = 5432  # inside; outside the engine chooses one
START_TIMEOUT = 120.0

# testcontainers would start a second container that removes the first; ours is removed on leaving. And
# it would take a machine without init for a container and connect to the bridge's address.
_ENVIRONMENT = {
    "TESTCONTAINERS_RYUK_DISABLED": "true",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
}


@dataclass
class Container:
    """One container with one server. Use as a context manager: leaving it removes the container.

    settings: as postgresql.conf would have them. options: further arguments of the engine's `run`, such
    as `mem_limit`. password: made up for each container unless given.
    """

    image: str = IMAGE
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    superuser: str = "postgres"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    handle: Any = field(default=None, init=False)

    def start(self) -> Container:
        """Start a new container, or the one that was stopped, and wait until it answers.

        Raises ClusterError when there is no engine or no such image, and with the server's log when
        it does not answer.
        """
        try:
            if self.handle is not None:
                self.handle.get_wrapped_container().start()
            else:
                self._run()
        except ImportError:
            raise ClusterError(
                "containers need the Python package testcontainers",
                "pip install 'pgtv[containers]'",
            ) from None
        except Exception as e:  # the engine's library has no common base for its errors
            self.destroy()
            raise ClusterError(f"the container did not start: {e}") from e
        self.wait_ready()
        return self

    def _run(self) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from testcontainers.core.container import DockerContainer

        self.handle = (
            DockerContainer(self.image, **self.options)
            .with_env("POSTGRES_PASSWORD", self.password)
            .with_env("POSTGRES_USER", self.superuser)
            .with_command([part for k, v in self.settings.items() for part in ("-c", f"{k}={v}")])
        )
        self.handle.ports = {f"{PORT}/tcp": (HOST, None)}
        self.handle.start()

    @property
    def port(self) -> int:
        """The port on the loopback interface; another one after each start."""
        container = self.handle.get_wrapped_container()
        container.reload()
        bindings = container.ports.get(f"{PORT}/tcp")
        if not bindings:
            raise ClusterError(f"the container does not run:\n{self.log_text()[-3000:]}")
        return int(bindings[0]["HostPort"])

    def conninfo(self, database: str = "postgres", user: str | None = None) -> str:
        """A libpq connection string without the password: that belongs into PGPASSFILE."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(
            host=HOST, port=self.port, dbname=database, user=user or self.superuser
        )

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A plain connection in autocommit, for tests and drills."""
        import psycopg

        return psycopg.connect(self.conninfo(database), password=self.password, autocommit=True)

    def wait_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Wait until a login succeeds. Raises ClusterError with the server's log."""
        import psycopg

        deadline = time.monotonic() + timeout
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError as e:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"the container did not answer in {timeout:.0f} s: {e}\n"
                        f"{self.log_text()[-3000:]}"
                    ) from None
            time.sleep(0.1)

    def stop(self, timeout: int = 30) -> None:
        """Stop the server by the image's own signal; SIGKILL after `timeout` seconds."""
        self.handle.get_wrapped_container().stop(timeout=timeout)

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal to the postmaster; SIGKILL ends the container, its data stay."""
        self.handle.get_wrapped_container().kill(signal)

    def log_text(self) -> str:
        return str(self.handle.get_wrapped_container().logs().decode(errors="replace"))

    def destroy(self) -> None:
        """Remove the container and its volumes, whatever state it is in."""
        if self.handle is not None:
            with contextlib.suppress(Exception):
                self.handle.stop(force=True, delete_volume=True)
            self.handle = None

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()


def new_container(
    image: str = IMAGE, preload: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> Container:
    """Run a server, in one go. Raises ClusterError and leaves nothing behind."""
    chosen = dict(settings or {})
    if preload:
        chosen["shared_preload_libraries"] = ",".join(preload)
    container = Container(image, chosen)
    try:
        return container.start()
    except BaseException:
        container.destroy()
        raise
