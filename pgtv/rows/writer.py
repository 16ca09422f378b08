"""A session that writes rows of TVIEWs: as their owner, and giving way to others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident
from pgtv.errors import NotPossible
from pgtv.rows import confined
from pgtv.session import anew

if TYPE_CHECKING:
    import psycopg

_NAME = "pgtv_write"

# Whatever may be deferred to COMMIT is an event of a deferrable trigger, as constraints are, too; of a
# table that was written here, which is locked until then; and until then it cannot be dropped.
_DEFERRABLE = """
SELECT DISTINCT t.tgrelid::pg_catalog.regclass::text
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_trigger t ON t.tgrelid = l.relation
 WHERE t.tgdeferrable AND l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid()
   AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
 ORDER BY 1
"""


@dataclass(frozen=True)
class Writer:
    """A session that compares and writes the rows of one TVIEW as `role`, in transactions that begin and
    end here: see pgtv.rows.confined for what they must not leave behind.

    aside: a session of the login for questions about locks and catalogs; no definition runs there.
    confine: by a function of the role's, for a login with other rights than those of that role; superuser:
    the login is one.
    """

    connection: psycopg.Connection[Any]
    aside: psycopg.Connection[Any]
    role: str
    confine: bool = True
    superuser: bool = True

    def look(self, query: str) -> list[str]:
        """The rows, of one text column, of a query in a transaction of its own that is always rolled
        back. Raises psycopg.Error."""
        with self._begun():
            return self._run([query])[0]

    def write(
        self,
        statements: Sequence[str],
        lock_timeout: int,
        before_commit: Callable[[int], None] = lambda _: None,
    ) -> list[list[str]]:
        """The rows of each of the statements, which are run in order in one transaction.

        lock_timeout: milliseconds. before_commit: called with the number of the process that still holds
        all locks. Raises psycopg.Error, and NotPossible where something would run at COMMIT with the
        login's rights.
        """
        with self._begun(lock_timeout) as pid:
            rows = self._run(statements)
            before_commit(pid)
            if self.confine:
                self._leave_nothing(lock_timeout)
            self.connection.execute("COMMIT")
            return rows

    @contextmanager
    def _begun(self, lock_timeout: int | None = None) -> Iterator[int]:
        """A transaction, rolled back unless it is committed inside; gives the process that has it."""
        import psycopg

        begin = ["BEGIN"]
        if lock_timeout is not None:
            begin.append(f"SET LOCAL lock_timeout = {lock_timeout}")
        if self.confine:
            make = confined.made(
                _NAME, confined.DO, self.role, superuser=self.superuser, settings=confined.RENDERED
            )
            version = self.connection.info.server_version
            if self.superuser and version >= confined.EVENT_TRIGGERS_SINCE:
                # those of the database have no business with it, but with what a definition does
                off, on = "SET LOCAL event_triggers = off", "SET LOCAL event_triggers TO DEFAULT"
                make = [off, *make, on]
            begin += make
        else:
            begin.append(f"SET LOCAL ROLE {ident(self.role)}")
        try:
            self.connection.execute("; ".join(begin).encode())
            yield self.connection.info.backend_pid
        finally:
            from psycopg.pq import TransactionStatus

            if self.connection.info.transaction_status != TransactionStatus.IDLE:
                with contextlib.suppress(psycopg.Error):  # lost, and then nothing is left either
                    self.connection.execute("ROLLBACK")

    def _run(self, statements: Sequence[str]) -> list[list[str]]:
        """One call in all: what the first of them ran may have put another function in its place."""
        if not self.confine:
            return [[r[0] for r in self.connection.execute(s.encode())] for s in statements]
        call = f"SELECT x FROM pg_temp.{_NAME}(%s::pg_catalog.text[]) x"
        found: list[list[str]] = [[]]
        for (value,) in self.connection.execute(call.encode(), (list(statements),)):
            if value is None:
                found.append([])
            else:
                found[-1].append(value)
        return found[:-1]

    def _leave_nothing(self, lock_timeout: int) -> None:
        """Put the session back to what it was, before anything is committed. Raises NotPossible."""
        from psycopg import sql

        cursor = self.connection.execute(
            sql.SQL("CLOSE ALL; {}; SET LOCAL lock_timeout = {}; {}").format(
                anew(self.connection), sql.Literal(lock_timeout), sql.SQL(_DEFERRABLE)
            )
        )
        while cursor.description is None and cursor.nextset():
            pass
        if tables := [t for (t,) in cursor]:
            raise NotPossible(
                f"{', '.join(tables)}: a deferrable trigger or constraint there may run at COMMIT with"
                " the rights of the login, which are more than its owner's",
                f"log in as {self.role}, or make it NOT DEFERRABLE",
            )
        self.connection.execute("DISCARD TEMP")


def patience(connection: psycopg.Connection[Any]) -> int:
    """Milliseconds to wait for a lock: less than the server waits before it looks for deadlocks.

    So a merge that meets a writer who locks rows in another order gives way and tries again, and
    the writer never sees 40P01 for our sake.
    """
    row = connection.execute(
        "SELECT pg_catalog.min(s.setting::int8) FILTER (WHERE s.name = 'deadlock_timeout') / 2,"
        " COALESCE(pg_catalog.min(s.setting::int8)"
        "  FILTER (WHERE s.name = 'lock_timeout' AND s.setting <> '0'), 2147483647)"
        " FROM pg_catalog.pg_settings s WHERE s.name IN ('deadlock_timeout', 'lock_timeout')"
    ).fetchone()
    assert row is not None
    return max(1, min(int(row[0]), int(row[1])))
