"""Compares TVIEWs with their definitions, and brings only those that differ: for after a restore.

Comparing needs less than writing: a TVIEW that is equal is settled whoever owns it, once nobody is
left who computed rows of it before (an earlier run may have brought it and died before its barrier).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import QueryError
from pgtv.graph.edges import edges
from pgtv.journal import Batches
from pgtv.rows.barrier import older_writers, outlast
from pgtv.rows.bring import Brought, End, bring, with_dependents
from pgtv.rows.merge import Pace
from pgtv.rows.noting import Notes
from pgtv.rows.recorded import drifted
from pgtv.rows.result import Result, State
from pgtv.rows.run import Plan, verify_all
from pgtv.rows.state import record
from pgtv.session import Target, connected

if TYPE_CHECKING:
    import psycopg


def settle(
    target: Target,
    snapshot: Snapshot,
    tviews: Sequence[Tview],
    say: Callable[[str], None],
    pace: Pace | None = None,
    on_end: Callable[[Brought], None] | None = None,
    on_batch: Batches | None = None,
) -> str:
    """Make the rows of `tviews` right, and say in one line what that took.

    on_end: told of each TVIEW that was brought, on_batch: of each batch until then.
    Raises QueryError for a TVIEW whose rows could not be compared or brought, after all others.
    """
    pace = pace or Pace()
    relations = edges(snapshot).upstream([t.table_oid for t in tviews])
    with connected(target) as connection:
        older = older_writers(connection, relations, pace.barrier_timeout)
        results = verify_all(Plan(snapshot, target, tviews, jobs=pace.jobs))
        if older:
            _outlast(connection, older, pace.barrier_timeout)
            results = verify_all(Plan(snapshot, target, tviews, jobs=pace.jobs))
    _record(target, snapshot, results, pace)
    differing = [t for t, r in zip(tviews, results, strict=True) if r.state is State.DIFFERS]
    unknown = [r for r in results if r.state is State.UNKNOWN]
    good = (State.EQUAL, State.MAY_DIFFER)
    equal = {t.label for t, r in zip(tviews, results, strict=True) if r.state in good}
    if not differing:
        _refuse(unknown)
        # of a run that died after it had brought them
        Notes(target, snapshot, edges(snapshot), say).settle(equal, whole=True)
        return f"{len(results)} TVIEWs compared: all equal, none written"
    names = ", ".join(t.label for t in differing)
    say(f"-- {len(differing)} of {len(results)} TVIEWs differ: {names}")
    ended = bring(
        target, snapshot, with_dependents(snapshot, differing), apply=True, pace=pace,
        on_batch=on_batch, on_end=on_end, earlier=equal,
    )  # fmt: skip
    told = written(ended)
    _refuse(unknown)
    return f"{len(results)} TVIEWs compared; {told or 'all equal by then, none written'}"


def _record(target: Target, snapshot: Snapshot, results: Sequence[Result], pace: Pace) -> None:
    """Write down what was equal, of TVIEWs that are on record as differing."""
    wrong = drifted(snapshot)
    equal = [r for r in results if r.state is State.EQUAL and r.table_oid in wrong]
    if equal and (why := record(replace(target, role=None), equal)):
        names = ", ".join(r.tview for r in equal)
        pace.say(f"{names}: that rows are equal is not on record: {why}")


def written(ended: Sequence[Brought]) -> str:
    """What was written to each TVIEW, in one line; raises QueryError for one that is not right."""
    for one in ended:
        if one.end in (End.UNKNOWN, End.UNSETTLED):
            raise QueryError(f"{one.tview}: {one.reason}", one.hint)
    return "; ".join(f"{b.tview}: {b.merged.counts}" for b in ended if b.merged.written)


def _outlast(connection: psycopg.Connection[Any], older: Collection[str], timeout: float) -> None:
    """Wait until these have ended. Raises QueryError where they do not."""
    try:
        gids = outlast(connection, older, timeout)
    except TimeoutError as e:
        raise QueryError(str(e), "run it again when they have ended") from None
    if gids:
        raise QueryError(
            f"prepared transactions write tables of these TVIEWs: {', '.join(gids)}",
            "resolve them, then run it again: pgtv 2pc list",
        )


def _refuse(unknown: Sequence[Result]) -> None:
    for one in unknown:
        raise QueryError(f"{one.tview} could not be compared: {one.reason}", one.hint)
