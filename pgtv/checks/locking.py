"""Locks that the statements of a cure take where it depends on the database; no check itself."""

from __future__ import annotations

from collections.abc import Sequence

from pgtv.catalog.model import Snapshot, Tview
from pgtv.checks.declare import Context
from pgtv.checks.expected import missing_triggers


def of_reregister(context: Context, tview: Tview) -> tuple[str, ...]:
    """Where re-registering creates triggers: it leaves alone the tables that have all of them.

    By the plan, and by the backing view, for a plan that is wrong does not know what is missing.
    """
    snapshot = context.snapshot
    lacking = {e.relation.oid for e in missing_triggers(context) if e.tview is tview}
    for read in snapshot.reads_of.get(tview.view_oid, ()):
        relation = snapshot.by_oid.get(read.relation or 0)
        if (
            relation is not None
            and relation.kind in "rp"
            and relation.oid not in snapshot.tview_by_table
            and not snapshot.triggers_for.get((relation.oid, tview.entity))
        ):
            lacking.add(relation.oid)
    return tuple(
        f"SHARE ROW EXCLUSIVE on {name}" for name in sorted(map(snapshot.name_of, lacking))
    )


def of_refresh(snapshot: Snapshot, labels: Sequence[str]) -> tuple[str, ...]:
    """A refresh empties and fills each of `labels`, and with a table the tables that inherit from it."""
    if not labels:
        return ()
    chosen = {r.oid for r in snapshot.relations if r.qualified in labels}
    heirs = [
        r.qualified
        for r in snapshot.relations
        if chosen.intersection(r.inherits) and r.qualified not in labels
    ]
    return (f"ACCESS EXCLUSIVE on {', '.join([*labels, *heirs])} (the refresh)",)
