"""Compares TVIEWs with their definitions, and brings only those that differ: for after a restore.

Comparing needs less than writing: a TVIEW that is equal is settled whoever owns it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import QueryError
from pgtv.rows.bring import End, bring, with_dependents
from pgtv.rows.result import Result, State
from pgtv.rows.run import Plan, verify_all
from pgtv.session import Target


def settle(
    target: Target, snapshot: Snapshot, tviews: Sequence[Tview], say: Callable[[str], None]
) -> str:
    """Make the rows of `tviews` right, and say in one line what that took.

    Raises QueryError for a TVIEW whose rows could not be compared or brought, after all others.
    """
    results = verify_all(Plan(snapshot, target, tviews))
    differing = [t for t, r in zip(tviews, results, strict=True) if r.state is State.DIFFERS]
    unknown = [r for r in results if r.state is State.UNKNOWN]
    if not differing:
        _refuse(unknown)
        return f"{len(results)} TVIEWs compared: all equal, none written"
    names = ", ".join(t.label for t in differing)
    say(f"-- {len(differing)} of {len(results)} TVIEWs differ: {names}")
    ended = bring(target, snapshot, with_dependents(snapshot, differing), apply=True)
    for one in ended:
        if one.end in (End.UNKNOWN, End.UNSETTLED):
            raise QueryError(f"{one.tview}: {one.reason}", one.hint)
    _refuse(unknown)
    return f"{len(results)} TVIEWs compared; " + "; ".join(
        f"{b.tview}: {b.merged.inserted} inserted, {b.merged.updated} changed,"
        f" {b.merged.deleted} deleted"
        for b in ended
        if b.end is End.MERGED
    )


def _refuse(unknown: Sequence[Result]) -> None:
    for one in unknown:
        raise QueryError(f"{one.tview} could not be compared: {one.reason}", one.hint)
