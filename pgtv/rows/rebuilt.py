"""What is known of TVIEWs that the extension's own refresh made anew: compared afterwards, as a
verification does, for it writes every row, tells of none, and may have been wrong itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from pgtv.catalog.model import Snapshot
from pgtv.graph.edges import edges
from pgtv.rows.bring import Brought, End
from pgtv.rows.result import Result, State
from pgtv.rows.run import Plan, verify_all
from pgtv.rows.state import record
from pgtv.session import Target

ENDS = {State.EQUAL: End.REBUILT, State.DIFFERS: End.UNSETTLED, State.MAY_DIFFER: End.MAY_DIFFER}


def under_way(tview: str) -> Brought:
    """One that is rebuilt, before anything is known of it."""
    why = "the extension's own refresh had begun and was not seen to end"
    return Brought(tview, End.UNKNOWN, rebuilt=True, reason=why)


def compare(
    target: Target, snapshot: Snapshot, tviews: Collection[str], on_end: Callable[[Brought], None]
) -> None:
    """Compare `tviews`, by label, and write down what was found as any verification. on_end: told of
    each. Raises ConnectError."""
    graph = edges(snapshot)
    known = graph.in_order([t for t in snapshot.tviews if t.label in tviews])
    for lost in sorted(set(tviews) - {t.label for t in known}):
        on_end(Brought(lost, End.UNKNOWN, rebuilt=True, reason="it is no TVIEW any more"))
    results: list[Result] = []

    def told(result: Result) -> None:
        results.append(result)
        on_end(_brought(result))

    verify_all(Plan(snapshot, target, known, on_result=told))
    record(replace(target, role=None), results)  # there need not be a place for it


def _brought(result: Result) -> Brought:
    wrong, one = result.state is State.DIFFERS, result.differing == 1
    differ = "1 row differs" if one else f"{result.differing:,} rows differ"
    return Brought(
        result.tview, ENDS.get(result.state, End.UNKNOWN), rebuilt=True, seconds=result.seconds,
        reason=f"{differ} after the extension's own refresh" if wrong else result.reason,
        hint="something keeps writing them wrong: pgtv doctor" if wrong else result.hint,
    )  # fmt: skip
