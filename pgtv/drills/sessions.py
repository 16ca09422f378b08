"""Sessions, threads and processes beside a drill: opened, held at a lock, released at the end."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgtv.cluster.verbs import UNTIL, Verbs, until
from pgtv.drills.statements import Refusal
from pgtv.errors import ClusterError

if TYPE_CHECKING:
    import psycopg


@dataclass
class Sessions:
    """What is open on one database of a server. template: the database that it was copied from."""

    server: Verbs
    name: str
    template: str
    refused: list[Refusal] = field(default_factory=list)
    _open: list[psycopg.Connection[Any]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _folders: list[str] = field(default_factory=list)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        return self.server.connect(self.name, **options)

    def open(self, role: str | None = None) -> psycopg.Connection[Any]:
        """A session that stays open until the end, or until it is killed."""
        connection = self.connect()
        if role:
            connection.execute(f"SET ROLE {role}")
        self._open.append(connection)
        return connection

    def refuse(self, error: psycopg.Error, statement: str) -> None:
        """Remember an error of the server or of the connection (then without SQLSTATE: 08006)."""
        message = str(error).strip().split("\n")[0]
        self.refused.append(Refusal(error.sqlstate or "08006", message, statement))

    def refuse_login(self, sqlstate: str, message: str) -> None:
        self.refused.append(Refusal(sqlstate, message, "login"))

    def wait_behind(self, statement: str, role: str | None = None) -> int:
        """Run `statement` in a session of its own; gives its backend once it waits for a lock."""
        connection = self.open(role)
        pid = connection.info.backend_pid
        self.run_beside(connection, statement)
        self.until_true(f"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {pid}")
        return pid

    def run_beside(self, connection: psycopg.Connection[Any], statement: str) -> threading.Thread:
        """Run it in a thread; a refusal is remembered."""
        import psycopg

        def run() -> None:
            try:
                connection.execute(statement.encode())
            except psycopg.Error as e:
                self.refuse(e, statement)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def client(self, statement: str) -> subprocess.Popen[bytes]:
        """A client in a process of its own that has run `statement` and keeps its session open."""
        code = (
            "import psycopg, sys, time\n"
            "c = psycopg.connect('', autocommit=True)\n"
            "c.execute(sys.argv[1].encode())\n"
            "time.sleep(600)"
        )
        env = self.server.env(self.name) | {"PGAPPNAME": "drill client"}
        process = subprocess.Popen(
            [sys.executable, "-c", code, statement], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._processes.append(process)
        self.until_true(
            "SELECT state = 'idle in transaction' FROM pg_stat_activity"
            f" WHERE application_name = 'drill client' AND datname = '{self.name}'"
        )
        return process

    def pgtv_waits(self, *args: str) -> int:
        """Run a command of pgtv in a process of its own; gives its backend once that waits for a lock."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pgtv", *args], env=self.server.env(self.name),
            cwd=self.folder(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._processes.append(process)
        waiting = (
            "SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'pgtv'"
            f" AND wait_event_type = 'Lock' AND datname = '{self.name}'"
        )
        with self.server.connect() as connection:

            def backend() -> int | None:
                if process.poll() is not None:
                    raise ClusterError(
                        f"pgtv {args[0]} ended ({process.returncode}) without waiting"
                    )
                row = connection.execute(waiting.encode()).fetchone()
                return row[0] if row else None

            return int(until(backend, f"pgtv {args[0]} never waited for a lock"))

    def until_true(self, query: str, timeout: float = UNTIL) -> None:
        """Poll `query` (from the database postgres) until it gives true."""
        with self.server.connect() as connection:
            until(
                lambda: (connection.execute(query.encode()).fetchone() or (False,))[0],
                f"never true: {query}", timeout,
            )  # fmt: skip

    def folder(self) -> str:
        """A new folder of this machine, removed at the end."""
        self._folders.append(tempfile.mkdtemp(prefix="pgtv-", dir=self.server.scratch))
        return self._folders[-1]

    def settle(self) -> None:
        """Wait for what was begun by `run_beside` and `pgtv_waits`."""
        for thread in self._threads:
            thread.join(30)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)

    def release(self) -> None:
        """Close sessions and processes that were opened, whatever state they are in."""
        for connection in self._open:
            with contextlib.suppress(Exception):
                connection.cancel_safe(timeout=2)
        for thread in self._threads:
            thread.join(10)
        for connection in self._open:
            with contextlib.suppress(Exception):
                connection.close()
        for process in self._processes:
            process.kill()
            process.wait()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        for held in (self._open, self._threads, self._processes, self._folders, self.refused):
            held.clear()
