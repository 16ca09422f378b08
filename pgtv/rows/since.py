"""Verification in proportion to change: only rows that may have changed since all were equal.

At the baseline every row of the TVIEW was what its definition gives. A row can differ now only if a
row version that leads to its key came or went, in a relation that the definition reads or in the
TVIEW's table itself; or if the definition gives something else on the same rows. So:

- versions that came are found by their transaction, and their keys by the extension's own mapping;
- versions that went are counted and their hashes summed: either each has a new version that leads to
  the same keys, or, for the relation whose rows are the TVIEW's rows, as many of the same keys went
  from the TVIEW;
- all else that the result depends on has the fingerprint that it had.

Where this cannot be shown, every row is compared, and the result says why. What no row version tells
is in BLIND.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pgtv.catalog.model import Snapshot
from pgtv.rows import compare, scan, standing
from pgtv.rows.baseline import Baseline, Change, Side, change, side
from pgtv.rows.compare import Progress, Wanted
from pgtv.rows.evaluate import Evaluation
from pgtv.rows.merge_sql import Key, part_of
from pgtv.rows.readings import ANY, LOCAL, Reading, own, readings
from pgtv.rows.result import Result, Since, State
from pgtv.rows.scan import Horizon, Scan
from pgtv.rows.statements import Part
from pgtv.rows.subject import Subject

if TYPE_CHECKING:
    from pgtv.rows.standing import Standing

# Beyond this share of the table's rows, reading them one by one costs more than reading all.
MOST_KEYS = 0.1
FEW_KEYS = 1_000  # so many are looked at whatever the table's size
AT_ONCE = 10_000  # keys that one statement compares

BLIND = (
    "what the extension's own mapping from base rows to keys leaves out",
    "what changes a function's result but not its text: what a function marked IMMUTABLE reads or"
    " calls, and functions of PostgreSQL that look into its catalogs or files",
    "rows in another order, where an aggregate or LIMIT has no ORDER BY",
    "changes that leave no row version: damaged files, files put back, pg_surgery, pg_resetwal",
)


class _Whole(Exception):
    """Every row has to be compared, because of this."""


@dataclass(frozen=True)
class _Look:
    """One transaction's look at all that a TVIEW stands on."""

    now: Horizon
    standing: Standing
    readings: Mapping[int, Reading]
    scans: Mapping[int, Scan]
    known: Mapping[int, frozenset[int]]  # recent transactions of the baseline


def remember(
    evaluation: Evaluation, snapshot: Snapshot, subject: Subject, result: Result
) -> Result:
    """The result of comparing every row, with a baseline where one can be kept.

    A relation that the role may not read, or the like, means that there is none. Raises
    psycopg.Error only where the connection is lost.
    """
    import psycopg

    if result.state is not State.EQUAL or result.mode != "exact":
        return result
    try:
        with evaluation.savepoint():
            look = _look(evaluation, snapshot, subject, None)
    except _Whole:
        return result
    except psycopg.Error as e:
        if e.sqlstate is None:
            raise
        return result
    return replace(result, baseline=_baseline(result, look, result.verified_at or ""))


def verify(
    evaluation: Evaluation,
    snapshot: Snapshot,
    subject: Subject,
    baseline: Baseline | None,
    wanted: Wanted,
    progress: Progress | None = None,
) -> Result:
    """The verdict on one TVIEW, by what changed since `baseline` where that tells all, else by every
    row. Raises psycopg.Error."""
    import psycopg

    started = time.monotonic()
    look = None
    try:
        if subject.faults or compare.refused(evaluation, subject):
            raise _Whole("its rows cannot be compared")
        with evaluation.savepoint():
            if baseline is None:
                never = standing.standing(evaluation, snapshot, subject).problem
                raise _Whole(never or "no verification that found it equal is recorded")
            look = _look(evaluation, snapshot, subject, baseline)
            changes = _changes(baseline, look)
            keys = _keys(evaluation, subject, look, changes)
            result = compare.compare_parts(
                evaluation, subject, replace(wanted, fast=False, sample=None), _parts(subject, keys)
            )
    except _Whole as e:
        return _whole(evaluation, snapshot, subject, baseline, wanted, progress, str(e), look)
    except psycopg.Error as e:
        if e.sqlstate is None or e.sqlstate == "57014":
            raise
        why = f"what changed could not be told: {compare.refusal(e)[0]}"
        return _whole(evaluation, snapshot, subject, baseline, wanted, progress, why, None)
    mine = look.scans[subject.tview.table_oid]
    told = Since(
        baseline.at, baseline.lsn, baseline.compared_at,
        sum(len(c.new) for o, c in changes.items() if o != subject.tview.table_oid), len(keys),
    )  # fmt: skip
    result = replace(
        result, mode="since", rows=mine.rows, since=told,
        seconds=round(time.monotonic() - started, 3),
    )  # fmt: skip
    if result.state is not State.EQUAL:
        return result
    return replace(result, baseline=_baseline(result, look, baseline.compared_at))


def _whole(
    evaluation: Evaluation, snapshot: Snapshot, subject: Subject, baseline: Baseline | None,
    wanted: Wanted, progress: Progress | None, why: str, look: _Look | None,
) -> Result:  # fmt: skip
    """Compare every row, say why, and keep a baseline: of the scans made, where they were."""
    result = compare.compare(evaluation, subject, wanted, progress)
    at, lsn, compared = (
        (baseline.at, baseline.lsn, baseline.compared_at) if baseline else (None, None, None)
    )
    result = replace(result, since=Since(at, lsn, compared, None, None, why))
    if look is None:
        return remember(evaluation, snapshot, subject, result)
    if result.state is not State.EQUAL or result.mode != "exact":
        return result
    return replace(result, baseline=_baseline(result, look, result.verified_at or ""))


def _look(
    evaluation: Evaluation, snapshot: Snapshot, subject: Subject, baseline: Baseline | None
) -> _Look:
    """Scan every relation; with a baseline only where it can serve. Raises _Whole."""
    stands = standing.standing(evaluation, snapshot, subject)
    if stands.problem:
        raise _Whole(stands.problem)
    found = readings(snapshot, subject, stands.read)
    found[subject.tview.table_oid] = own(subject)
    stands = stands.over(repr(sorted(found.items())))
    if baseline and stands.fingerprint != baseline.fingerprint:
        raise _Whole("its definition changed since, or what that stands on")
    now = since = scan.horizon(evaluation, subject)
    if baseline:
        since = scan.horizon(evaluation, subject, baseline.horizon)
    if now is None or since is None:
        raise _Whole("two billion transactions passed since: row versions no longer tell")
    if baseline and set(baseline.sides) != set(found):
        raise _Whole("it reads other relations than then")
    known = {oid: s.recent for oid, s in baseline.sides.items()} if baseline else {}
    most = worth_by_key(subject.estimate) if baseline else None
    scans = {}
    for oid, reading in found.items():
        relation = snapshot.by_oid.get(oid)
        scans[oid] = scan.scan(
            evaluation, subject, reading, since, known.get(oid, ()),
            estimate=relation.reltuples if relation else -1, most=most,
        )  # fmt: skip
        if scans[oid].rows is None:
            raise _Whole(f"so much of {reading.label} changed that comparing all is quicker")
    return _Look(now, stands, found, scans, known)


def worth_by_key(rows: float) -> int:
    """Of a TVIEW of about so many rows, how many are worth looking at one by one."""
    return max(FEW_KEYS, min(int(MOST_KEYS * rows), scan.MOST_YOUNG))


def _changes(baseline: Baseline, look: _Look) -> dict[int, Change]:
    return {oid: change(baseline.sides[oid], s) for oid, s in look.scans.items()}


def _keys(
    evaluation: Evaluation, subject: Subject, look: _Look, changes: Mapping[int, Change]
) -> set[str]:
    """The keys of all rows that may have changed. Raises _Whole where they are not all known."""
    own_oid = subject.tview.table_oid
    mine = changes[own_oid]
    unsettled = [oid for oid, c in changes.items() if not c.settled]
    root = [
        o for o, r in look.readings.items()
        if r.root and (changes[o].rows, changes[o].total) == (mine.rows, mine.total)
    ]  # fmt: skip
    # the very keys that went from the root's table went from the TVIEW's, and no others
    for oid in unsettled:
        if oid not in root and not (oid == own_oid and root):
            label = look.readings[oid].label
            raise _Whole(f"rows went from {label} for which no other row of the same key came")
    most = worth_by_key(look.scans[own_oid].rows or 0)
    keys: set[str] = set()
    for oid, reading in look.readings.items():
        new = changes[oid].new
        if reading.follows == ANY and not changes[oid].none:
            raise _Whole(f"{reading.label} changed, and the plan does not tell whose rows follow")
        if not new:
            continue
        if reading.follows == LOCAL:
            keys |= {y.value for y in new if y.value is not None}
        else:
            for query in scan.keys_of(reading, subject, new):
                keys |= set(evaluation.ask(subject, query))
        if len(keys) > most:
            raise _Whole("so many rows may have changed that comparing all is quicker")
    return keys


def _parts(subject: Subject, keys: Iterable[str]) -> Sequence[Part]:
    """The rows of these keys, and always those without one: an outer join gives such a row when its
    other side goes, and no change of keys tells of it."""
    listed: list[Key] = [(k,) for k in sorted(keys)]
    some = [part_of(subject, listed[i : i + AT_ONCE]) for i in range(0, len(listed), AT_ONCE)]
    return [*some, Part(nulls=True)]


def _baseline(result: Result, look: _Look, compared_at: str) -> Baseline | None:
    sides: dict[int, Side] = {}
    for oid, scanned in look.scans.items():
        kept = side(scanned, look.now, look.known.get(oid, ()))
        if kept is None:
            return None
        sides[oid] = kept
    facts: dict[str, Any] = {"at": result.verified_at or "", "lsn": result.lsn or ""}
    return Baseline(
        look.now.xid, look.standing.fingerprint, compared_at=compared_at, sides=sides, **facts
    )
