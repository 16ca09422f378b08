"""What stands in the queue table of the extension's early plans, where somebody has one.

No release reads it today, so a row in it refreshes nothing: its transaction's TVIEWs are
right or wrong by themselves, which `pgtv verify` tells.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects import pending
from pgtv.session import snapshot_transaction, translate

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Queued:
    """One row. orphan: its transaction is no longer prepared. duplicate: another row has its gid.

    repeated: how many entries of its queue are there once more, in its own or another queue.
    """

    gid: str | None
    prepared_at: str | None
    age_seconds: float | None
    size: int
    orphan: bool
    duplicate: bool
    repeated: int


@dataclass(frozen=True)
class Pending:
    """One such table; reason: why its rows could not be read."""

    database: str
    table: str
    rows: tuple[Queued, ...] = ()
    reason: str | None = None


def look(connection: psycopg.Connection[Any], database: str) -> list[Pending]:
    """Every such table of the database, in whatever schema. Raises psycopg.Error when it is lost."""
    import psycopg

    found = []
    for schema, _, readable, held in connection.execute(
        pending.FIND, {"table": pending.TABLE}
    ).fetchall():
        table = pending.qualified(schema)
        if not readable or held:
            why = "somebody holds ACCESS EXCLUSIVE on it" if held else "needs SELECT on it"
            found.append(Pending(database, table, reason=why))
            continue
        try:
            with snapshot_transaction(connection):
                rows = connection.execute(pending.rows(schema).encode()).fetchall()
        except psycopg.Error as e:
            if connection.closed:
                raise
            found.append(Pending(database, table, reason=translate(e).message))
            continue
        times = Counter(r[0] for r in rows)
        found.append(
            Pending(
                database,
                table,
                tuple(
                    Queued(gid, at, age, size, not prepared, times[gid] > 1, repeated)
                    for gid, at, age, size, prepared, repeated in rows
                ),
            )
        )
    return found
