"""Waits for transactions that may still put an old value back.

Who has computed rows from what was true before a batch was committed holds a writer's lock on a table
concerned. Who writes later, from an older snapshot, is refused by the extension: it compares what it
computed under REPEATABLE READ and SERIALIZABLE with what is true now, and fails with 40001.

A transaction is known by its virtual transaction id, which it has before it has any other and keeps
when it is prepared: its locks are then nobody's process's, and the id that they carry stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

FIRST = 1.0  # seconds that short transactions get to end by themselves
POLL = 0.02  # seconds between looks at who is still there
Pause = Callable[[float], None]
_WRITERS = (
    "RowExclusiveLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip


def wait_for_writers(
    connection: psycopg.Connection[Any],
    relations: Sequence[int],
    timeout: float,
    pause: Pause = time.sleep,
) -> tuple[str, ...]:
    """Wait until every transaction that writes these relations now has ended.

    Gives the gids of prepared ones, which are not waited for. Raises TimeoutError, and what `pause` does.
    """
    return outlast(connection, writers(connection, relations), timeout, pause)


def older_writers(
    connection: psycopg.Connection[Any], relations: Sequence[int], timeout: float = FIRST
) -> set[str]:
    """Who writes these relations now, and has not ended after FIRST seconds (or `timeout`, where that
    is less).

    To be asked before rows are compared: what these commit while that goes on is not seen by it.
    """
    return set(_wait_for(connection, writers(connection, relations), min(FIRST, timeout)))


def outlast(
    connection: psycopg.Connection[Any],
    transactions: Collection[str],
    timeout: float,
    pause: Pause = time.sleep,
) -> tuple[str, ...]:
    """Wait until none of these runs any more; gives gids of those that are prepared by then, which are
    not waited for. Raises TimeoutError."""
    left = _wait_for(connection, transactions, timeout, pause)
    if running := {v for v, gid in left.items() if gid is None}:
        raise TimeoutError(
            f"{_described(connection, running)} wrote its tables before that, may still commit what was"
            f" true then, and did not end within {timeout:g} s"
        )
    return tuple(sorted(gid for gid in left.values() if gid is not None))


def _described(connection: psycopg.Connection[Any], transactions: Collection[str]) -> str:
    rows = connection.execute(
        "SELECT a.pid, COALESCE(a.usename::text, '?'), COALESCE(NULLIF(a.application_name, ''), '?')"
        " FROM pg_catalog.pg_stat_activity a WHERE a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l"
        "  WHERE l.locktype = 'virtualxid' AND l.virtualtransaction = ANY (%s))"
        " ORDER BY a.xact_start, a.pid",
        (list(transactions),),
    ).fetchall()
    who = ", ".join(f"pid {pid} ({user}, {application})" for pid, user, application in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"{who or 'a transaction'}{more}"


def _wait_for(
    connection: psycopg.Connection[Any],
    transactions: Collection[str],
    timeout: float,
    pause: Pause = time.sleep,
) -> dict[str, str | None]:
    """Wait until none of these runs; gives what `going` tells then, or after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    left = going(connection, transactions)
    while None in left.values() and time.monotonic() <= deadline:
        pause(POLL)
        left = going(connection, left)
    return left


def writers(connection: psycopg.Connection[Any], relations: Sequence[int]) -> dict[str, str | None]:
    """The transactions that hold a writer's lock, as `going` gives them."""
    rows = connection.execute(
        "SELECT DISTINCT l.virtualtransaction FROM pg_catalog.pg_locks l"
        " WHERE l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() AND l.granted"
        "  AND l.locktype = 'relation' AND l.relation::int8 = ANY (%s) AND l.mode = ANY (%s)"
        "  AND l.database = (SELECT oid FROM pg_catalog.pg_database"
        "                    WHERE datname = pg_catalog.current_database())",
        (list(relations), list(_WRITERS)),
    ).fetchall()
    return going(connection, [v for (v,) in rows])


def going(
    connection: psycopg.Connection[Any], transactions: Collection[str]
) -> dict[str, str | None]:
    """Those of these transactions that have not ended: virtual id -> gid, None for one that runs.

    One that is just being prepared, or ended, has locks of no process and no gid: it counts as
    running, as the next look tells which it was.
    """
    if not transactions:
        return {}
    rows = connection.execute(
        "SELECT l.virtualtransaction, pg_catalog.max(p.gid) FROM pg_catalog.pg_locks l"
        " LEFT JOIN pg_catalog.pg_prepared_xacts p ON l.pid IS NULL AND p.transaction = l.transactionid"
        " WHERE l.virtualtransaction = ANY (%s)"
        "  AND l.locktype = CASE WHEN l.pid IS NULL THEN 'transactionid' ELSE 'virtualxid' END"
        " GROUP BY l.virtualtransaction",
        (list(transactions),),
    ).fetchall()
    return dict(rows)
