"""A plan of the extension's own refresh: whole TVIEWs anew, while readers and writers wait."""

from __future__ import annotations

from collections.abc import Sequence

from pgtv.catalog import dialects
from pgtv.catalog.model import Snapshot, Tview
from pgtv.graph.edges import edges
from pgtv.plan import Plan, Step, plan_for


def plan(snapshot: Snapshot, tviews: Sequence[Tview]) -> Plan:
    """A step for each of `tviews` that no other step reaches, upstream first."""
    dialect = dialects.named(snapshot.extension.generation)
    return plan_for(
        snapshot,
        [
            Step(
                phase="rows",
                title=f"Rebuild {tview.label}",
                statements=(dialect.refresh(tview.label),),
                role=f"owner of {tview.label}, or a superuser",
                locks=tuple(f"ACCESS EXCLUSIVE on {t.label}" for t in reached),
                note="Blocks readers and writers of these TVIEWs until it ends.",
                tviews=tuple(t.label for t in reached),
            )
            for tview, reached in edges(snapshot).covering(tviews)
        ],
        asked=("rebuild", *(t.label for t in tviews)),
    )
