"""Brings rows that were missed while triggers were disabled, so that they stay right.

The triggers fire again by now, so whoever begins now is right by itself. Who wrote before was waited
for when they were enabled, on the tables that this locked. But a transaction that writes another
table may have computed rows of a dependent TVIEW from old rows of this one, and commit them later:
bringing waits for those, also where it finds nothing to write. (A snapshot of before is no danger:
under REPEATABLE READ and SERIALIZABLE the extension compares what it computed with what is true now,
and fails with 40001.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgtv.catalog.model import Snapshot, Tview
from pgtv.graph.edges import edges
from pgtv.journal import Batches
from pgtv.rows.bring import Brought, End, bring
from pgtv.rows.merge import Pace
from pgtv.session import Target


@dataclass(frozen=True)
class Settled:
    """The TVIEWs that are right for good, and why others are not: message and hint."""

    tviews: tuple[Tview, ...]
    reason: str | None = None
    hint: str | None = None


def bring_owed(
    target: Target,
    snapshot: Snapshot,
    tviews: Sequence[Tview],
    *,
    pace: Pace | None = None,
    on_end: Callable[[Brought], None] | None = None,
    on_batch: Batches | None = None,
) -> Settled:
    """Make the rows of `tviews`, given in dependency order, right for good.

    pace.barrier_timeout bounds each wait for older writers, in seconds. Raises ConnectError, and
    NotPossible on a standby.
    """
    ended = bring(target, snapshot, tviews, apply=True, pace=pace, on_batch=on_batch, on_end=on_end)
    return _settled(snapshot, tviews, ended)


def _settled(snapshot: Snapshot, tviews: Sequence[Tview], ended: Sequence[Brought]) -> Settled:
    """All but those that could not be brought, and what reads those."""
    bad = {b.tview: b for b in ended if b.end in (End.UNKNOWN, End.UNSETTLED)}
    if not bad:
        return Settled(tuple(tviews))
    graph = edges(snapshot)
    reached = {t.table_oid for t in graph.affected(t.table_oid for t in tviews if t.label in bad)}
    right = tuple(t for t in tviews if t.table_oid not in reached)
    first = next(iter(bad.values()))
    reasons = "; ".join(f"{b.tview}: {b.reason}" for b in bad.values())
    return Settled(right, reasons, first.hint)
