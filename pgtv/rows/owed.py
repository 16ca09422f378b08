"""Brings rows that were missed while triggers were disabled, so that they stay right.

The triggers fire again by now, so whoever begins now is right by itself. Who wrote before was waited
for when they were enabled, on the tables that this locked. But a transaction that writes another
table may have computed rows of a dependent TVIEW from old rows of this one, and commit them later,
also when an earlier run has brought this one and died: such writers are waited for, and the TVIEWs
compared once more. (A snapshot of before is no danger: under REPEATABLE READ and SERIALIZABLE the
extension compares what it computed with what is true now, and fails with 40001.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.catalog.model import Snapshot, Tview
from pgtv.graph.edges import edges
from pgtv.rows.barrier import wait_for, writers
from pgtv.rows.bring import Brought, End, bring
from pgtv.rows.merge import Pace
from pgtv.session import Target, connect

if TYPE_CHECKING:
    import psycopg

FIRST = 1.0  # seconds: rows are wrong now, so slow writers are waited for after the first pass


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
) -> Settled:
    """Make the rows of `tviews`, given in dependency order, right for good.

    pace.barrier_timeout bounds each wait for older writers, in seconds. Raises ConnectError, and
    NotPossible on a standby.
    """
    pace = pace or Pace()
    relations = edges(snapshot).upstream([t.table_oid for t in tviews])
    with connect(target) as connection:
        older = writers(connection, relations)
        gids = sorted({gid for gid in older.values() if gid})
        running = {v for v, gid in older.items() if gid is None}
        left = wait_for(connection, running, min(FIRST, pace.barrier_timeout))
        ended = bring(target, snapshot, tviews, apply=True, pace=pace, on_end=on_end)
        if left:
            left = wait_for(connection, left, pace.barrier_timeout)
            if left:
                return Settled((), *_waited_for(connection, left))
            ended = bring(target, snapshot, tviews, apply=True, pace=pace, on_end=on_end)
    if gids:
        return Settled(
            (),
            f"prepared transactions write their tables and cannot be waited for: {', '.join(gids)}",
            "resolve them, then run it again: pgtv 2pc list",
        )
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


def _waited_for(connection: psycopg.Connection[Any], left: set[str]) -> tuple[str, str]:
    pids = sorted(int(v.rpartition("@")[2]) for v in left)
    rows = connection.execute(
        "SELECT a.pid, COALESCE(a.usename::text, '?'), COALESCE(NULLIF(a.application_name, ''), '?')"
        " FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY (%s) ORDER BY a.xact_start, a.pid",
        (pids,),
    ).fetchall()
    who = ", ".join(f"pid {pid} ({user}, {application})" for pid, user, application in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return (
        f"rows were brought, but {who or 'a transaction'}{more} wrote these tables before that and"
        " may still commit what was true then",
        "run it again when they have ended, or raise --barrier-timeout",
    )
