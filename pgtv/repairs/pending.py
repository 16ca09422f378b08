"""What stands in the queue table of the extension's early plans, where somebody has one.

No release reads it today, so a row in it refreshes nothing: its transaction's TVIEWs are
right or wrong by themselves, which `pgtv verify` tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv import kept
from pgtv.catalog.dialects import pending
from pgtv.session import snapshot_transaction, translate

if TYPE_CHECKING:
    import psycopg


_NOW = """
SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp())::float8,
       ARRAY(SELECT p.gid FROM pg_catalog.pg_prepared_xacts p
              WHERE p.database = pg_catalog.current_database())
"""


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
    for schema, _, readable, held, columns in connection.execute(
        pending.FIND, {"table": pending.TABLE, "columns": list(pending.COLUMNS)}
    ).fetchall():
        table = pending.qualified(schema)
        why = "somebody holds ACCESS EXCLUSIVE on it" if held else None
        why = why or (None if readable else "needs SELECT on it")
        why = why or (None if "gid" in columns else "it has no column gid: it is something else")
        if why:
            found.append(Pending(database, table, reason=why))
            continue
        try:
            with snapshot_transaction(connection):
                texts = dict.fromkeys(columns, "text")
                rows = list(kept.read(connection, schema, pending.TABLE, texts))
                now, prepared = connection.execute(_NOW).fetchone() or (0.0, [])
        except (psycopg.Error, ValueError) as e:
            if connection.closed:
                raise
            reason = translate(e).message if isinstance(e, psycopg.Error) else str(e)
            found.append(Pending(database, table, reason=reason))
            continue
        found.append(Pending(database, table, tuple(_queued(rows, now, set(prepared)))))
    return found


def _queued(rows: list[dict[str, Any]], now: float, prepared: set[str]) -> Iterator[Queued]:
    """The oldest rows first, those without a time before them."""
    rows.sort(key=lambda r: (r.get("prepared_at") or "", r["gid"] or ""))
    shown = rows[: pending.SHOWN]
    queues = [pending.entries(r.get("refresh_queue")) for r in shown]
    gids = Counter(r["gid"] for r in shown)
    times = Counter(e for queue in queues for e in queue)
    for row, queue in zip(shown, queues, strict=True):
        at = pending.moment(row.get("prepared_at"))
        yield Queued(
            row["gid"], row.get("prepared_at"), None if at is None else now - at,
            pending.size(row.get("queue_size"), queue), row["gid"] not in prepared,
            gids[row["gid"]] > 1, sum(times[e] - 1 for e in set(queue)),
        )  # fmt: skip
