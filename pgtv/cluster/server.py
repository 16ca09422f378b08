"""A throwaway PostgreSQL server from local binaries: start, stop by mode, kill, standby, template.

It listens on a Unix socket in its own private directory and nowhere else, so nothing needs a free
port and nobody else can reach it. PostgreSQL refuses to run as root: then everything runs as
`nobody`, and binaries that only root can read have to be copied first (`readable_by_all`).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.errors import ClusterError

if TYPE_CHECKING:
    import psycopg

PORT = 5432  # only part of the socket's file name
START_TIMEOUT = 60.0

_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "1min",
    "max_prepared_transactions": "20",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "wal_level": "logical",
    "max_wal_senders": "8",
    "track_functions": "all",
    "log_line_prefix": "%m [%p] %e %q%a %d ",
    "timezone": "UTC",
    "lc_messages": "C",
}


def run_as() -> dict[str, Any]:
    """Arguments for subprocess that drop root; empty for everybody else."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _environment(home: Path, binaries: Path) -> dict[str, str]:
    """PG* variables of the caller must not leak into a throwaway server.

    The libraries of relocatable binaries come first: the WAL receiver's module would else load the
    system's libpq, which may be older than the server and not know its connection options.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG") or k == "PGTV_CACHE"}
    own = {"HOME": str(home), "LC_ALL": "C.UTF-8"}
    if (binaries / "lib" / "libpq.so.5").exists():
        own["LD_LIBRARY_PATH"] = str(binaries / "lib")
    return kept | own


@dataclass
class Server:
    """One data directory and the postmaster on it.

    binaries: the folder with bin/. settings override postgresql.conf. Use as a context manager:
    leaving it stops the server and removes the directory (kept on `keep`).
    """

    binaries: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    superuser: str = "postgres"
    keep: bool = False
    root: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        # /tmp and not TMPDIR: a socket's path may have 107 bytes only
        self.root = Path(tempfile.mkdtemp(prefix="pgtv-", dir="/tmp"))
        if os.geteuid() == 0:
            as_user = run_as()
            os.chown(self.root, as_user["user"], as_user["group"])

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def major(self) -> int:
        return int((self.data / "PG_VERSION").read_text().split(".")[0])

    def conninfo(self, database: str = "postgres", user: str | None = None) -> str:
        """A libpq connection string for the socket."""
        quoted = database.replace("\\", "\\\\").replace("'", "\\'")
        role = (user or self.superuser).replace("\\", "\\\\").replace("'", "\\'")
        return f"host={self.root} port={PORT} dbname='{quoted}' user='{role}'"

    def env(self, database: str = "postgres", user: str | None = None) -> dict[str, str]:
        """The environment in which psql, pgbench and pgtv reach this server."""
        return _environment(self.root, self.binaries) | {
            "PGHOST": str(self.root),
            "PGPORT": str(PORT),
            "PGDATABASE": database,
            "PGUSER": user or self.superuser,
            "PATH": f"{self.binaries / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def program(self, name: str, *args: str, timeout: float = 300, **kw: Any) -> str:
        """Run one of the server's programs to its end and give its stdout.

        Raises ClusterError with its stderr when it fails.
        """
        done = subprocess.run(
            [str(self.binaries / "bin" / name), *args],
            env=kw.pop("env", self.env()),
            cwd=self.root,
            stdin=subprocess.DEVNULL if "input" not in kw else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **(run_as() | kw),
        )
        if done.returncode != 0:
            raise ClusterError(f"{name} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
        return str(done.stdout)

    def init(self) -> Server:
        """initdb, with trust on the private socket, and the settings."""
        self.program(
            "initdb", "-D", str(self.data), "-U", self.superuser, "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", "--no-instructions",
        )  # fmt: skip
        self.configure(_FAST | dict(self.settings))
        return self

    def configure(self, settings: Mapping[str, str]) -> None:
        """Append settings; they count from the next start or reload."""
        lines = "".join(f"{k} = '{v.replace(chr(39), chr(39) * 2)}'\n" for k, v in settings.items())
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(lines)

    def start(self, wait: bool = True) -> Server:
        """Start the postmaster and wait until it answers. Raises ClusterError with its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(self.binaries / "bin" / "postgres"), "-D", str(self.data),
                    "-k", str(self.root), "-p", str(PORT), "-c", "listen_addresses=",
                ],
                env=_environment(self.root, self.binaries), cwd=self.root, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, **run_as(),
            )  # fmt: skip
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Wait until a connection is accepted."""
        import psycopg

        deadline = time.monotonic() + timeout
        while True:
            if self.process and self.process.poll() is not None:
                raise ClusterError(f"the server did not start:\n{self.log_text()[-3000:]}")
            try:
                psycopg.connect(self.conninfo(), connect_timeout=5).close()
                return
            except psycopg.OperationalError as e:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"the server did not answer in {timeout:.0f} s: {e}\n"
                        f"{self.log_text()[-3000:]}"
                    ) from None
            time.sleep(0.05)

    def stop(self, mode: str = "fast", timeout: float = 60.0) -> None:
        """Stop by mode: smart, fast or immediate; nothing to do when it does not run."""
        if self.process is None or self.process.poll() is not None:
            self.process = None
            return
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self.process.send_signal(signals[mode])
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ClusterError(f"the server did not stop ({mode}) in {timeout:.0f} s") from None
        self.process = None

    def kill(self) -> None:
        """SIGKILL to the postmaster and its children, as a machine that lost power."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            # Children are sessions of their own; they end when they see the postmaster gone.
            self._wait_children_gone()
            self.process = None
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _wait_children_gone(self, timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        mark = str(self.data).encode()
        while time.monotonic() < deadline:
            alive = False
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                try:
                    if (entry / "cwd").readlink() == self.data and entry.name != str(os.getpid()):
                        alive = True
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    continue
            if not alive:
                return
            time.sleep(0.02)
        raise ClusterError(f"processes of {mark.decode()} are still there")

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def reload(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGHUP)

    def connect(
        self, database: str = "postgres", user: str | None = None, autocommit: bool = True
    ) -> psycopg.Connection[Any]:
        """A plain connection for tests and drills; pgtv itself uses pgtv.session."""
        import psycopg

        return psycopg.connect(self.conninfo(database, user), autocommit=autocommit)

    def psql(self, sql: str, database: str = "postgres", user: str | None = None) -> str:
        """Run SQL text by psql, stopping at the first error; gives unaligned output."""
        return self.program(
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-",
            env=self.env(database, user), input=sql,
        )  # fmt: skip

    def create_database(self, name: str, template: str | None = None) -> None:
        """A new database, as a copy of `template` (to which nobody may be connected)."""
        from psycopg import sql

        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
        with self.connect() as connection:
            connection.execute(statement)

    def drop_database(self, name: str) -> None:
        from psycopg import sql

        with self.connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def standby(self, settings: Mapping[str, str] | None = None) -> Server:
        """A streaming standby of this server, not yet started."""
        other = Server(self.binaries, settings or {}, self.superuser, self.keep)
        self.program(
            "pg_basebackup", "-D", str(other.data), "-R", "-X", "stream", "-c", "fast", "--no-sync",
        )  # fmt: skip
        other.configure(settings or {})
        return other

    def promote(self) -> None:
        self.program("pg_ctl", "promote", "-D", str(self.data), "-w")

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def destroy(self) -> None:
        """Stop at once and remove everything."""
        with contextlib.suppress(ClusterError):
            self.stop("immediate", timeout=15)
        if not self.keep:
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()


def new_server(
    binaries: Path, preload: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> Server:
    """initdb and start, in one go. Raises ClusterError and leaves nothing behind."""
    chosen = dict(settings or {})
    if preload:
        chosen["shared_preload_libraries"] = ",".join(preload)
    server = Server(binaries, chosen)
    try:
        return server.init().start()
    except BaseException:
        server.destroy()
        raise
