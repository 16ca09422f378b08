"""Locks that the statements of a cure take where it depends on the database; no check itself."""

from __future__ import annotations

from pgtv.catalog.model import Tview
from pgtv.checks.declare import Context
from pgtv.checks.expected import missing_triggers


def new_triggers_on(context: Context, tview: Tview) -> set[int]:
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
    return lacking


def of_reregister(context: Context, tview: Tview) -> tuple[str, ...]:
    """The locks of the triggers that it creates."""
    names = map(context.snapshot.name_of, new_triggers_on(context, tview))
    return tuple(f"SHARE ROW EXCLUSIVE on {name}" for name in sorted(names))
