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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgtv.cluster import launcher, room
from pgtv.cluster.place import VARIABLE, place
from pgtv.cluster.reaper import Reaper, of_server
from pgtv.cluster.verbs import Can, Verbs, until
from pgtv.errors import ClusterError

PORT = 5432  # only part of the socket's file name

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
class Server(Verbs):
    """One data directory and the postmaster on it.

    binaries: the folder with bin/. settings override postgresql.conf. Use as a context manager:
    leaving it stops the server and removes the directory (kept on `keep`). small: a disk of its own
    of so many MiB, and what lies on it: `data`, `wal` or `nothing` (folders made by `room_folder`).
    within: where its folder is made.
    """

    binaries: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    superuser: str = "postgres"
    keep: bool = False
    small: tuple[int, str] | None = None
    within: str = field(default_factory=place)
    root: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _reaper: Reaper = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            self.root = Path(tempfile.mkdtemp(prefix="pgtv-", dir=self.within))
        except OSError as e:
            raise ClusterError(
                f"cannot make a server in {self.within}: {e.strerror or e}",
                f"name a folder that can be written: {VARIABLE}",
            ) from None
        self._own(self.root)
        self.place = self.scratch = str(self.root)
        socket = "it is reached by a socket on this machine, not by a network"
        self.cannot = {Can.NETWORK: socket, Can.PACKETS: socket,
                       Can.MEMORY: "only a container bounds the memory of a whole server"}  # fmt: skip
        if why := room.cannot_mount():
            self.cannot[Can.ROOM] = why
        self._reaper = of_server(self.root, self.data)
        if self.small:
            try:
                room.mount(self.root / "room", self.small[0])
            except BaseException:
                self.destroy()
                raise

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            as_user = run_as()
            os.chown(path, as_user["user"], as_user["group"])

    @property
    def data(self) -> Path:
        on_small = self.small is not None and self.small[1] == "data"
        return self.root / ("room/data" if on_small else "data")

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
        reached = self.env(kw.pop("database", "postgres"), kw.pop("user", None))
        done = subprocess.run(
            [str(self.binaries / "bin" / name), *args],
            env=kw.pop("env", reached),
            cwd=kw.pop("cwd", self.root),
            stdin=subprocess.DEVNULL if "input" not in kw else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **(run_as() | kw),
        )
        if done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip()
            raise ClusterError(f"{name} failed ({done.returncode}): {said[-2000:]}")
        return str(done.stdout)

    def init(self, *options: str) -> Server:
        """initdb (with its `options`), trust on the private socket, and the settings."""
        on_small = self.small is not None and self.small[1] == "wal"
        wal = ["--waldir", self.room_folder("wal")] if on_small else []
        self.program(
            "initdb", "-D", str(self.data), "-U", self.superuser, "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", "--no-instructions", *wal,
            *options,
        )  # fmt: skip
        return self.furnish()

    def furnish(self) -> Server:
        """Append what all throwaway servers have, and the settings of this one."""
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

    def check_alive(self) -> None:
        if self.process and self.process.poll() is not None:
            raise ClusterError(f"the server did not start:\n{self.log_text()[-3000:]}")

    def stop(self, mode: str = "fast", timeout: float = 60.0) -> None:
        """Stop by mode: smart, fast or immediate; nothing to do when it does not run."""
        if self.process is None or self.process.poll() is not None:
            self.process = None
            return
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self.process.send_signal(signals[mode])
        if not launcher.ends(self._ended, self._cancel_refill, timeout):
            self.kill()
            raise ClusterError(f"the server did not stop ({mode}) in {timeout:.0f} s")
        self.process = None

    def _ended(self, within: float) -> bool:
        assert self.process
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _cancel_refill(self) -> None:
        for pid in self._processes():
            with contextlib.suppress(OSError):
                if launcher.NAMES.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the postmaster and its children, as a machine that lost power."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            # Children are sessions of their own; they end when they see the postmaster gone.
            until(self._children_gone, f"processes of {self.data} are still there")
            self.process = None
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _children_gone(self) -> bool:
        gone = True
        for pid in self._processes():
            gone = False
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return gone

    def _processes(self) -> Iterator[int]:
        """All that run in the data directory: the postmaster and its children."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (
                    entry.name.isdigit()
                    and (entry / "cwd").readlink() == self.data
                    and entry.name != str(os.getpid())
                ):
                    yield int(entry.name)

    def kill_backend(self, pid: int) -> None:
        """SIGKILL to one backend: the server restarts all others and recovers."""
        self._check_ours(pid)
        os.kill(pid, signal.SIGKILL)

    def limit_backend(self, pid: int, room: int) -> None:
        self._check_ours(pid)
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        bound = pages * os.sysconf("SC_PAGE_SIZE") + room
        # as the server's user: even root needs a further capability for processes of others
        done = subprocess.run(
            ["prlimit", "--pid", str(pid), f"--as={bound}"],
            capture_output=True, text=True, check=False, **run_as(),
        )  # fmt: skip
        if done.returncode:
            raise ClusterError(f"cannot bound the memory of a backend: {done.stderr.strip()}")

    def _check_ours(self, pid: int) -> None:
        if Path(f"/proc/{pid}/cwd").readlink() != self.data:
            raise ClusterError(f"process {pid} is not one of this server's")

    def room_folder(self, name: str) -> str:
        folder = self.root / "room" / name
        folder.mkdir(mode=0o700)
        self._own(folder)
        return str(folder)

    def fill_disk(self) -> None:
        room.fill(self.root / "room")

    def free_disk(self) -> None:
        room.free(self.root / "room")

    def reload(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGHUP)

    def standby(self, settings: Mapping[str, str] | None = None) -> Server:
        """A streaming standby of this server, not yet started."""
        other = self.backup(settings, "-R")
        other.configure(settings or {})
        return other

    def backup(self, settings: Mapping[str, str] | None = None, *options: str) -> Server:
        """A server made of a base backup of this one, not yet started; options: of pg_basebackup."""
        other = Server(self.binaries, settings or {}, self.superuser, self.keep)
        try:
            self.program(
                "pg_basebackup", "-D", str(other.data), "-X", "stream", "-c", "fast", "--no-sync",
                *options,
            )  # fmt: skip
        except BaseException:
            other.destroy()
            raise
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
            room.unmount(self.root / "room")
            _remove(self.root)
        self._reaper.dismiss()

    def __enter__(self) -> Server:
        return self


def new_server(
    binaries: Path,
    preload: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    *,
    small: tuple[int, str] | None = None,
) -> Server:
    """initdb and start, in one go. Raises ClusterError and leaves nothing behind."""
    chosen = dict(settings or {})
    if preload:
        chosen["shared_preload_libraries"] = ",".join(preload)
    server = Server(binaries, chosen, small=small)
    try:
        return server.init().start()
    except BaseException:
        server.destroy()
        raise


def _remove(root: Path) -> None:
    """The whole folder, also where a process that is just ending still writes into it."""
    for _ in range(50):
        shutil.rmtree(root, ignore_errors=True)
        if not root.exists():
            return
        time.sleep(0.1)
