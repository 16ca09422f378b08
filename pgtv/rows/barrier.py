"""Waits for transactions that may still put an old value back.

Who has computed rows from what was true before a batch was committed holds a writer's lock on a table
concerned. Who writes later, from an older snapshot, is refused by the extension: it compares what it
computed under REPEATABLE READ and SERIALIZABLE with what is true now, and fails with 40001.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

POLL = 0.02  # seconds between looks at who is still there
_WRITERS = (
    "RowExclusiveLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip


def wait_for_writers(
    connection: psycopg.Connection[Any], relations: Sequence[int], timeout: float
) -> tuple[str, ...]:
    """Wait until every transaction that writes these relations now has ended.

    Gives the gids of prepared ones, which are not waited for. Raises TimeoutError.
    """
    found = writers(connection, relations)
    gids = tuple(sorted({gid for gid in found.values() if gid is not None}))
    left = wait_for(connection, {v for v, gid in found.items() if gid is None}, timeout)
    if left:
        raise TimeoutError(f"{len(left)} writers did not end within {timeout:.0f} s")
    return gids


def wait_for(
    connection: psycopg.Connection[Any], transactions: set[str], timeout: float
) -> set[str]:
    """Wait until these have ended; gives those that have not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    left = set(transactions)
    while left := _alive(connection, sorted(left)) if left else set():
        if time.monotonic() > deadline:
            break
        time.sleep(POLL)
    return left


def writers(connection: psycopg.Connection[Any], relations: Sequence[int]) -> dict[str, str | None]:
    """Virtual transaction -> gid (None for a running one) of who holds a writer's lock."""
    rows = connection.execute(
        "WITH held AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks"
        " WHERE pid IS DISTINCT FROM pg_catalog.pg_backend_pid() AND granted)"
        " SELECT DISTINCT h.virtualtransaction || '@' || COALESCE(h.pid, 0), p.gid FROM held h"
        " LEFT JOIN held x ON h.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'"
        "  AND x.virtualtransaction = h.virtualtransaction"
        " LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid"
        " WHERE h.locktype = 'relation' AND h.relation::int8 = ANY (%s) AND h.mode = ANY (%s)"
        "  AND h.database = (SELECT oid FROM pg_catalog.pg_database"
        "                    WHERE datname = pg_catalog.current_database())",
        (list(relations), list(_WRITERS)),
    ).fetchall()
    return {v: gid or ("(unnamed)" if v.endswith("@0") else None) for v, gid in rows}


def _alive(connection: psycopg.Connection[Any], transactions: Sequence[str]) -> set[str]:
    rows = connection.execute(
        "SELECT DISTINCT virtualtransaction || '@' || pid FROM pg_catalog.pg_locks"
        " WHERE locktype = 'virtualxid' AND virtualtransaction || '@' || pid = ANY (%s)",
        (list(transactions),),
    ).fetchall()
    return {r[0] for r in rows}
