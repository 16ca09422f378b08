"""What every throwaway server can be asked to do, wherever it runs, and what only some can.

A server that cannot do something says why (`cannot`): whoever needs it is skipped with that reason.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pgtv.errors import ClusterError

if TYPE_CHECKING:
    import psycopg

    from pgtv.session import Target

START_TIMEOUT = 60.0
UNTIL = 60.0  # seconds; what comes at all comes sooner, but on a very busy machine


class Can(StrEnum):
    """A power over a server that SQL alone does not give."""

    CONTROL = "stop, start and configure the server"
    KILL = "kill the server"
    KILL_BACKEND = "kill one of its processes"
    STANDBY = "make a standby of it"
    PROMOTE = "promote it"
    REPLAY = "hold up its replay"
    BACKUP = "take a base backup"
    SUBSCRIBE = "subscribe one of its databases to another"
    ROOM = "give it a small disk and fill it"
    BACKEND_MEMORY = "bound the memory of one of its processes"
    MEMORY = "bound its memory as a whole"
    NETWORK = "cut the network of a client"
    PACKETS = "drop the packets of a client"
    OTHER_BINARIES = "start it with the binaries of another release"
    HOST = "look at its disks, and choose what lies on them"
    LOG = "read its log"


class Verbs(ABC):
    """A server that runs somewhere.

    password: None where none is needed. place: a folder of the server's machine for files of
    `program`. keep: `destroy` stops it and leaves its data. scratch: a folder of this machine that goes
    with the server however its maker ends; None: there is none.
    """

    superuser: str
    password: str | None = None
    place: str
    cannot: Mapping[Can, str] = {}
    keep: bool = False
    scratch: str | None = None

    @abstractmethod
    def conninfo(self, database: str = "postgres", user: str | None = None) -> str:
        """A libpq connection string without the password."""

    @abstractmethod
    def env(self, database: str = "postgres", user: str | None = None) -> dict[str, str]:
        """The environment in which pgtv on this machine reaches the server."""

    @abstractmethod
    def program(self, name: str, *args: str, timeout: float = 300, **kw: Any) -> str:
        """Run one of the server's programs to its end and give its stdout.

        kw: `database`, and `input` for its stdin. Raises ClusterError with its stderr when it fails.
        """

    @abstractmethod
    def log_text(self) -> str:
        """The server's log from its first start on. Raises ClusterError where it cannot be seen."""

    @abstractmethod
    def destroy(self) -> None:
        """Stop at once and remove everything."""

    def kept_as(self, database: str) -> str:
        """Where people find a database that is kept, once `destroy` has stopped the server."""
        return f"server folder {self.place}, database {database}"

    def makes_role(self, name: str) -> None:
        """Told before a role is made that is to go with the server. Most go as a whole."""
        return

    def keeps_database(self, name: str) -> None:
        """Told of a database that is to stay where the server does, with the roles that own it."""
        return

    def refuse(self, power: Can) -> ClusterError:
        """The error of a verb that this server does not have."""
        return ClusterError(f"cannot {power}: {self.cannot.get(power, 'not on this server')}")

    def _have(self, power: Can) -> None:
        """Raises ClusterError for a power that this server does not give."""
        if power in self.cannot:
            raise self.refuse(power)

    # verbs that only some have

    def start(self, wait: bool = True) -> Any:
        raise self.refuse(Can.CONTROL)

    def stop(self, mode: str = "fast", timeout: float = 60.0) -> None:
        raise self.refuse(Can.CONTROL)

    def configure(self, settings: Mapping[str, str]) -> None:
        raise self.refuse(Can.CONTROL)

    def reload(self) -> None:
        raise self.refuse(Can.CONTROL)

    def kill(self) -> None:
        raise self.refuse(Can.KILL)

    def kill_backend(self, pid: int) -> None:
        """SIGKILL to one backend: the server restarts all others and recovers."""
        raise self.refuse(Can.KILL_BACKEND)

    def limit_backend(self, pid: int, room: int) -> None:
        """Let one backend allocate `room` bytes more than it has, and no more."""
        raise self.refuse(Can.BACKEND_MEMORY)

    def standby(self, settings: Mapping[str, str] | None = None) -> Verbs:
        raise self.refuse(Can.STANDBY)

    def backup(self, settings: Mapping[str, str] | None = None, *options: str) -> Verbs:
        """A server made of a base backup of this one, not yet started; options: of pg_basebackup."""
        raise self.refuse(Can.BACKUP)

    def promote(self) -> None:
        raise self.refuse(Can.PROMOTE)

    def room_folder(self, name: str) -> str:
        """A folder on the small disk, which the server owns."""
        raise self.refuse(Can.ROOM)

    def fill_disk(self) -> None:
        """Write a file until the small disk is full."""
        raise self.refuse(Can.ROOM)

    def free_disk(self) -> None:
        """Remove that file."""
        raise self.refuse(Can.ROOM)

    def distant_client(self, statement: str, database: str) -> None:
        """A client on another machine of the same network runs it and keeps its session open."""
        raise self.refuse(Can.NETWORK)

    def cut_network(self) -> None:
        """That client's machine leaves the network; neither it nor the server is told."""
        raise self.refuse(Can.NETWORK)

    def drop_packets(self) -> None:
        """Packets of that client are dropped on their way, both ways; neither side is told."""
        raise self.refuse(Can.PACKETS)

    def mend_network(self) -> None:
        raise self.refuse(Can.NETWORK)

    def check_alive(self) -> None:
        """Raises ClusterError, with the log, where the server is known to have ended."""
        return

    # verbs that SQL gives

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def connect(
        self,
        database: str = "postgres",
        user: str | None = None,
        autocommit: bool = True,
        **options: Any,
    ) -> psycopg.Connection[Any]:
        """A plain connection for tests and drills; pgtv itself uses pgtv.session.

        options: further connection parameters of libpq.
        """
        import psycopg

        return psycopg.connect(
            self.conninfo(database, user), autocommit=autocommit, password=self.password, **options
        )

    def target(self, database: str = "postgres", user: str | None = None) -> Target:
        """Where pgtv connects to."""
        from pgtv.session import Target

        return Target(dbname=self.conninfo(database, user), password=self.password)

    def wait_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Wait until a login succeeds. Raises ClusterError with the server's log."""
        import psycopg

        deadline = time.monotonic() + timeout
        while True:
            self.check_alive()
            try:
                self.connect(connect_timeout=5).close()
                return
            except psycopg.OperationalError as e:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"the server did not answer in {timeout:.0f} s: {e}\n"
                        f"{self.log_text()[-3000:]}"
                    ) from None
            time.sleep(0.05)

    def wait_log(self, pattern: str, since: int = 0, timeout: float = UNTIL) -> str:
        """Wait for a line of the log, from character `since` on; gives what matched."""

        def found() -> str | None:
            match = re.search(pattern, self.log_text()[since:])
            return match.group() if match else None

        return str(until(found, f"no line of the log matches {pattern!r}", timeout))

    @property
    def major(self) -> int:
        with self.connect() as connection:
            return connection.info.server_version // 10000

    def psql(self, sql: str, database: str = "postgres", user: str | None = None) -> str:
        """Run SQL text by psql, stopping at the first error; gives unaligned output."""
        return self.program(
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-",
            database=database, user=user, input=sql,
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

    def pause_replay(self) -> None:
        """A standby stops replaying; it goes on receiving."""
        self._have(Can.REPLAY)
        with self.connect() as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
            until(
                lambda: (
                    connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone()
                    == ("paused",)
                ),
                "replay did not pause",
            )

    def resume_replay(self) -> None:
        self._have(Can.REPLAY)
        with self.connect() as connection:
            connection.execute("SELECT pg_wal_replay_resume()")

    def __exit__(self, *exc: object) -> None:
        self.destroy()


def until(condition: Callable[[], Any], otherwise: str, timeout: float = UNTIL) -> Any:
    """Poll until `condition` gives something true, and give it. Raises ClusterError `otherwise`."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise ClusterError(f"{otherwise} (waited {timeout:.0f} s)")
        time.sleep(0.02)
