"""TVIEWs' tables with what PostgreSQL counted of them, and the statements that put them in order.

Shared by the checks on storage: nothing here is a check.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.model import Relation, TableStats, Tview
from pgtv.checks.declare import Context
from pgtv.finding import Remedy


def tables(context: Context) -> Iterator[tuple[Tview, Relation, TableStats]]:
    """Each TVIEW that has a table; statistics that were never counted are zeros."""
    for tview in context.snapshot.tviews:
        table = context.snapshot.by_oid.get(tview.table_oid)
        if table is not None:
            stats = context.snapshot.stats_of.get(table.oid)
            yield tview, table, stats or TableStats(table.oid)


def remedy(
    table: Relation, statement: str, *, undo: str | None = None, note: str | None = None
) -> Remedy:
    """A statement beside which readers and writers go on."""
    return Remedy(
        sql=("SET lock_timeout = '2s';", statement),
        role=f"the owner of {table.qualified}",
        locks=(f"SHARE UPDATE EXCLUSIVE on {table.qualified}",),
        undo=undo,
        note=note,
    )
