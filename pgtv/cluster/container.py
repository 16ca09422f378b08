"""A throwaway PostgreSQL in a container: the verbs of a local server, and bounds that are real.

Any image works that takes the variables of the well-known `postgres` images and starts a server on
port 5432; `tools/make-image` makes one with the extension inside. The server is reachable on the
loopback interface only, over TCP and with a password, as a database of an application would be.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgtv.cluster import launcher, packets
from pgtv.cluster.binaries import RELEASE
from pgtv.cluster.reaper import Reaper, of_container
from pgtv.cluster.verbs import Can, Verbs, until
from pgtv.errors import ClusterError

IMAGE = f"pgtv-postgres:18-{RELEASE}"
HOST = "127.0.0.1"
PORT = 5432  # inside; outside the engine chooses one
START_TIMEOUT = 120.0
ROOM = "/room"  # the small disk
_DATA = "/var/lib/postgresql/data"

# The first time the container copies its data and ends; from then on it is what its image is.
_COPY = r"""
if [ -s "$PGDATA/PG_VERSION" ]; then exec "$@"; fi
exec pg_basebackup -D "$PGDATA" -X stream -c fast --no-sync $OPTIONS
"""

# testcontainers would start a second container that removes the first; ours is removed on leaving. And
# it would take a machine without init for a container and connect to the bridge's address.
_ENVIRONMENT = {
    "TESTCONTAINERS_RYUK_DISABLED": "true",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
}


@dataclass
class Container(Verbs):
    """One container with one server. Use as a context manager: leaving it removes the container.

    settings: as postgresql.conf would have them. options: further arguments of the engine's `run`, such
    as `mem_limit`. password: made up for each container unless given. small: a disk of its own of so
    many MiB, and what lies on it: `data` or `nothing` (folders made by `room_folder`). keep: stop it
    and leave it there.
    """

    image: str = IMAGE
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    superuser: str = "postgres"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    small: tuple[int, str] | None = None
    keep: bool = False
    handle: Any = field(default=None, init=False)
    _made: bool = field(default=False, init=False)
    _reaper: Reaper | None = field(default=None, init=False, repr=False)
    _passwords: Path | None = field(default=None, init=False, repr=False)
    _peer: Any = field(default=None, init=False, repr=False)
    _peer_network: Any = field(default=None, init=False, repr=False)
    _peer_reaper: Reaper | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.place = "/tmp"  # noqa: S108 (inside the container)
        self.cannot = {
            Can.SUBSCRIBE: "its address is one of this machine, by which it does not reach itself",
            Can.BACKEND_MEMORY: "a container's memory is bounded as a whole",
            Can.OTHER_BINARIES: "an image has the binaries of one release",
            Can.HOST: "its disks are seen from inside the container only",
        }
        if why := packets.why_not():
            self.cannot |= {Can.PACKETS: why}

    def start(self, wait: bool = True) -> Container:
        """Start a new container, or the one that was stopped, and wait until it answers.

        Raises ClusterError when there is no engine or no such image, and with the server's log when
        it does not answer.
        """
        try:
            if self.handle is not None:
                self._run_again()
            else:
                self._run()
        except ImportError:
            raise ClusterError(
                "containers need the Python package testcontainers",
                "pip install 'pgtv[containers]'",
            ) from None
        except ClusterError:
            self.destroy()
            raise
        except Exception as e:  # the engine's library has no common base for its errors
            self.destroy()
            raise self._complaint(e) from e
        if wait:
            self.wait_ready(START_TIMEOUT)
        return self

    def _run_again(self) -> None:
        """The small disk is in memory: it is a new one, and without the mode of the first."""
        if self.small and self.small[1] == "data":
            raise ClusterError("the data were on the small disk, which went with the stop")
        self._container().start()
        if self.small:
            self._container().exec_run(["chmod", "1777", ROOM], user="root")

    def _complaint(self, error: Exception) -> ClusterError:
        said = " ".join(str(error).split())
        if "server API version" in said:
            return ClusterError(
                "no container engine answers", "start it, or say where it is: DOCKER_HOST"
            )
        return ClusterError(f"the container did not start: {said}")

    def _run(self, copying: Mapping[str, str] | None = None) -> None:
        """copying: the environment of pg_basebackup, for one that has its data from another."""
        own = _name()
        self.scratch = tempfile.mkdtemp(prefix="pgtv-")
        # before it is there: nothing is left of it whenever its maker dies
        self._reaper = of_container(own, Path(self.scratch))
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from testcontainers.core.container import DockerContainer

        image = self._fetch()
        command = [part for k, v in self.settings.items() for part in ("-c", f"{k}={v}")]
        options = dict(self.options)
        if copying:
            options["entrypoint"] = ["sh", "-c", _COPY, "sh"]
            command = [*(image.attrs["Config"]["Entrypoint"] or ()), *command]
        self.handle = (
            DockerContainer(self.image, **options)
            .with_name(own)
            .with_env("POSTGRES_PASSWORD", self.password)
            .with_env("POSTGRES_USER", self.superuser)
            .with_command(command)
        )
        for variable, value in (copying or {}).items():
            self.handle.with_env(variable, value)
        if self.small:
            self.handle.with_tmpfs_mount(ROOM, f"size={self.small[0]}m,mode=1777")
        if self.small and self.small[1] == "data":
            self.handle.with_env("PGDATA", f"{ROOM}/data")
        self.handle.ports = {f"{PORT}/tcp": (HOST, None)}
        self.handle.start()
        self._made = True

    def _fetch(self) -> Any:
        """The image, once it is here. Whatever the way to its registry says, or that it says nothing at all,
        is one complaint."""
        from docker.errors import ImageNotFound
        from testcontainers.core.docker_client import DockerClient

        images = DockerClient().client.images
        with contextlib.suppress(ImageNotFound):
            return images.get(self.image)
        try:
            return images.pull(self.image)
        except Exception as e:
            raise ClusterError(
                f"there is no image {self.image} here, and it cannot be fetched",
                "name another one, or make one with: tools/make-image",
            ) from e

    def _container(self) -> Any:
        return self.handle.get_wrapped_container()

    def kept_as(self, database: str) -> str:
        return f"stopped container {self._container().name}, database {database}"

    @property
    def port(self) -> int:
        """The port on the loopback interface; another one after each start."""
        container = self._container()
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

    def env(self, database: str = "postgres", user: str | None = None) -> dict[str, str]:
        if self._passwords is None:
            descriptor, name = tempfile.mkstemp(dir=self.scratch)
            os.write(descriptor, f"{HOST}:*:*:*:{self.password}\n".encode())
            os.close(descriptor)
            self._passwords = Path(name)
        return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {
            "PGPASSFILE": str(self._passwords), "PGHOST": HOST, "PGPORT": str(self.port),
            "PGUSER": user or self.superuser, "PGDATABASE": database,
        }  # fmt: skip

    def program(self, name: str, *args: str, timeout: float = 300, **kw: Any) -> str:
        """Run a program inside the container; `input` goes there as a file."""
        given: str | None = kw.get("input")
        if given is not None:
            self._put("input", given)
        quoted = '"$0" "$@"' + (" </tmp/input" if given is not None else "")
        code, (out, err) = self._container().exec_run(
            ["sh", "-c", quoted, name, *args],
            environment={
                "PGHOST": HOST, "PGPASSWORD": self.password,
                "PGUSER": kw.get("user") or self.superuser,
                "PGDATABASE": kw.get("database", "postgres"),
            },
            demux=True,
        )  # fmt: skip
        if code:
            said = (err or b"").decode(errors="replace").strip()[-2000:]
            raise ClusterError(f"{name} failed ({code}): {said}")
        return (out or b"").decode(errors="replace")

    def _put(self, name: str, text: str) -> None:
        archive, data = io.BytesIO(), text.encode()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
        self._container().put_archive("/tmp", archive.getvalue())  # noqa: S108

    def stop(self, mode: str = "fast", timeout: float = 30) -> None:
        """Stop by mode: smart, fast or immediate; nothing to do when it does not run.

        Raises ClusterError where it took longer than `timeout` seconds and was killed.
        """
        signals = {"smart": "TERM", "fast": "INT", "immediate": "QUIT"}
        container = self._container()
        container.reload()
        if container.status != "running":
            return
        container.kill(signals[mode])
        if not launcher.ends(self._ended, self._cancel_refill, timeout):
            self.kill()
            raise ClusterError(f"the server did not stop ({mode}) in {timeout:.0f} s")

    def _ended(self, within: float) -> bool:
        try:
            self._container().wait(timeout=within)
        except Exception:  # a timeout of the HTTP library below
            return False
        return True

    def _cancel_refill(self) -> None:
        # the image need not have pkill; what looks must not find itself
        others = f"{launcher.NAMES[:-1]}[{launcher.NAMES[-1]}]"
        each = f"for p in /proc/[0-9]*; do grep -q '{others}' $p/cmdline && kill -INT ${{p#/proc/}}; done"
        with contextlib.suppress(Exception):  # it may end just now
            self._container().exec_run(["sh", "-c", each])

    def kill(self) -> None:
        """SIGKILL to the postmaster: that ends the container, its data stay."""
        container = self._container()
        container.kill("KILL")
        container.wait(timeout=30)

    def kill_backend(self, pid: int) -> None:
        self.program("sh", "-c", f"kill -9 {int(pid)}")

    def configure(self, settings: Mapping[str, str]) -> None:
        """Settings count from the next reload or start, as ALTER SYSTEM writes them.

        Raises ClusterError for one that it was made with: those are arguments of the server, which
        count for more.
        """
        from psycopg import sql

        if fixed := sorted(settings.keys() & self.settings.keys()):
            raise ClusterError(f"the container was made with {', '.join(fixed)}: it keeps that")
        with self.connect() as connection:
            for name, value in settings.items():
                connection.execute(
                    sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value)
                )

    def reload(self) -> None:
        self._container().kill("HUP")

    def standby(self, settings: Mapping[str, str] | None = None) -> Container:
        """A streaming standby of this server, not yet started; it follows the address of now."""
        return self.backup(settings, "-R")

    def backup(self, settings: Mapping[str, str] | None = None, *options: str) -> Container:
        """A server made of a base backup of this one, not yet started; options: of pg_basebackup."""
        self._let_replicate()
        other = Container(
            self.image, {**self.settings, **(settings or {})}, self.options, self.superuser,
            self.password, keep=self.keep,
        )  # fmt: skip
        on_small = self.small is not None and self.small[1] == "data"
        try:
            other._run(
                {
                    "PGDATA": _DATA if on_small else self._shown("data_directory"),
                    "PGHOST": self._address()[1], "PGUSER": self.superuser,
                    "PGPASSWORD": self.password, "OPTIONS": " ".join(options),
                }
            )  # fmt: skip
            code = other._container().wait(timeout=300)["StatusCode"]
            if code:
                raise ClusterError(f"pg_basebackup failed ({code}): {other.log_text()[-2000:]}")
        except BaseException:
            other.destroy()
            raise
        return other

    def promote(self) -> None:
        with self.connect() as connection:
            connection.execute("SELECT pg_promote()")

    def _let_replicate(self) -> None:
        """Images let in by password, but not for replication."""
        allowed = "host replication all all scram-sha-256"
        with self.connect() as connection:
            loaded = "SELECT pg_conf_load_time()"
            before = connection.execute(loaded).fetchone()
            self.program(
                "sh", "-c", 'grep -qxF "$1" "$2" || echo "$1" >>"$2"', "sh", allowed,
                self._shown("hba_file"),
            )  # fmt: skip
            self.reload()
            until(
                lambda: connection.execute(loaded).fetchone() != before,
                "the server does not reload",
            )

    def _shown(self, setting: str) -> str:
        with self.connect() as connection:
            row = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
        return str(row[0]) if row else ""

    def _address(self) -> tuple[str, str]:
        """(network, address in it) by which other containers reach this one."""
        container = self._container()
        container.reload()
        networks = container.attrs["NetworkSettings"]["Networks"]
        return next((name, str(given["IPAddress"])) for name, given in networks.items())

    def room_folder(self, name: str) -> str:
        self.program("mkdir", "-m", "700", f"{ROOM}/{name}")
        return f"{ROOM}/{name}"

    def fill_disk(self) -> None:
        # dd says that the disk is full, which is what was wanted
        self.program("sh", "-c", f"dd if=/dev/zero of={ROOM}/ballast bs=64k 2>/dev/null; :")

    def free_disk(self) -> None:
        self.program("rm", "-f", f"{ROOM}/ballast")

    def distant_client(self, statement: str, database: str) -> None:
        container = self._container()
        network, address = self._address()
        own = _name()
        self._peer_reaper = of_container(own, Path(str(self.scratch)))
        self._peer = container.client.containers.run(
            self.image, detach=True, network=network, name=own,
            entrypoint=["sh", "-c", '(echo "$STATEMENT"; sleep 600) | psql -X -q'],
            environment={
                "PGHOST": address, "PGPASSWORD": self.password, "PGUSER": self.superuser,
                "PGDATABASE": database, "STATEMENT": statement, "PGAPPNAME": "distant client",
            },
        )  # fmt: skip
        self._peer_network = container.client.networks.get(network)

    def cut_network(self) -> None:
        self._peer_network.disconnect(self._peer)

    def drop_packets(self) -> None:
        self._peer.reload()
        packets.drop(self._peer.attrs["State"]["Pid"])

    def mend_network(self) -> None:
        self._peer_network.connect(self._peer)

    def check_alive(self) -> None:
        """Raises ClusterError with the log when the container has ended."""
        container = self._container()
        container.reload()
        if container.status == "exited":
            raise ClusterError(f"the server did not start:\n{self.log_text()[-3000:]}")

    def log_text(self) -> str:
        return str(self._container().logs().decode(errors="replace"))

    def destroy(self) -> None:
        """Remove the container and its volumes, whatever state it is in."""
        if self._peer is not None:
            with contextlib.suppress(Exception):
                self._peer.remove(force=True, v=True)
        if self._peer_reaper:
            self._peer_reaper.dismiss(self._peer is not None)
        self._peer = self._peer_reaper = None
        if self.handle is not None:
            with contextlib.suppress(Exception):
                if self.keep:
                    self._container().stop(timeout=10)
                else:
                    self.handle.stop(force=True, delete_volume=True)
            self.handle = None
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = self._passwords = None
        if self._reaper is not None:
            self._reaper.dismiss(self._made)
            self._reaper = None

    def __enter__(self) -> Container:
        return self


def image_here(image: str = IMAGE) -> bool:
    """Whether an engine answers that has the image, so that nothing has to be fetched."""
    try:
        import docker

        engine = docker.from_env(timeout=10)
        engine.images.get(image)
    except Exception:  # no package, no engine, no image: what it says is of no interest
        return False
    engine.close()
    return True


def _name() -> str:
    """Of a container yet to be made, so that it can be found however its maker ends."""
    return f"pgtv-{secrets.token_hex(8)}"


def new_container(
    image: str = IMAGE,
    preload: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    **more: Any,
) -> Container:
    """Run a server, in one go; `more`: fields of Container. Raises ClusterError, leaves nothing."""
    chosen = dict(settings or {})
    if preload:
        chosen["shared_preload_libraries"] = ",".join(preload)
    container = Container(image, chosen, **more)
    try:
        return container.start()
    except BaseException:
        container.destroy()
        raise
