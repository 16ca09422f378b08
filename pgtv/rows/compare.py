"""Compares one TVIEW with its definition, in one snapshot."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pgtv.rows import paths, statements
from pgtv.rows.evaluate import Evaluation
from pgtv.rows.result import Difference, Result, State
from pgtv.rows.statements import CHANGED, EXTRA, KINDS, MISSING, Part
from pgtv.rows.subject import Subject

if TYPE_CHECKING:
    import psycopg

CHUNK_ROWS = 1_000_000  # one statement compares about as many, where the key allows it
CHUNK_OVERHEAD = 1.25  # splitting may cost so much more, as the planner sees it
PATHS_PER_ROW = 10

Progress = Callable[[int, int], None]  # rows compared so far, rows expected


@dataclass(frozen=True)
class Wanted:
    """How to compare.

    fast: look at logical hashes first. sample: (parts of a million, seed); sample_rows: about so
    many rows instead, by the table's estimate. limit: differing rows to bring.
    """

    fast: bool = False
    sample: tuple[int, int] | None = None
    sample_rows: int = 0
    limit: int = 20

    def for_estimate(self, rows: float) -> Wanted:
        """The same with `sample_rows` as a share of a table of about `rows` rows."""
        if not self.sample or not self.sample_rows:
            return self
        share = 1_000_000 if rows <= 0 else min(round(self.sample_rows / rows * 1e6) + 1, 1_000_000)
        return replace(self, sample=(share, self.sample[1]), sample_rows=0)

    @property
    def mode(self) -> str:
        return ("fast" if self.fast else "exact") + (" sample" if self.sample else "")


@dataclass
class Counted:
    """Pairs by kind so far."""

    table: int = 0
    missing: int = 0
    extra: int = 0
    changed: int = 0

    @property
    def differing(self) -> int:
        return self.missing + self.extra + self.changed


def compare(
    evaluation: Evaluation, subject: Subject, wanted: Wanted, progress: Progress | None = None
) -> Result:
    """The verdict on one TVIEW. Raises psycopg.Error for what the server refuses."""
    started = time.monotonic()
    wanted = wanted.for_estimate(subject.estimate)
    base = _base(evaluation, subject, wanted.mode)
    if stopped := refused(evaluation, subject):
        return Result(**base, state=State.UNKNOWN, **stopped)
    if subject.faults:
        return Result(**base, state=State.DIFFERS, faults=subject.faults)
    if wanted.fast and (rows := _fast(evaluation, subject, wanted)) is not None:
        return Result(
            **base, state=State.EQUAL, rows=rows, seconds=round(time.monotonic() - started, 3)
        )
    parts = _parts(evaluation, subject, wanted)
    result = compare_parts(evaluation, subject, wanted, parts, progress)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def compare_parts(
    evaluation: Evaluation,
    subject: Subject,
    wanted: Wanted,
    parts: Sequence[Part],
    progress: Progress | None = None,
) -> Result:
    """The verdict on some rows, every one of them compared. Raises psycopg.Error."""
    started = time.monotonic()
    counted, found = Counted(), list[Difference]()
    for part in parts:
        wrong, by_image = _count(evaluation, subject, part, counted)
        room = wanted.limit - len(found)
        if wrong and room > 0:
            query = statements.differing(subject, part, room, exact_keys=by_image)
            found += [difference(subject, r) for r in evaluation.ask(subject, query)]
        if progress:
            progress(counted.table + counted.missing, max(int(subject.estimate), 0))
    return Result(
        **_base(evaluation, subject, wanted.mode),
        state=_state(subject, counted.differing),
        rows=counted.table,
        missing=counted.missing,
        extra=counted.extra,
        changed=counted.changed,
        differences=tuple(found),
        seconds=round(time.monotonic() - started, 3),
    )


def refused(evaluation: Evaluation, subject: Subject) -> dict[str, Any] | None:
    """Why this TVIEW cannot be compared by this session, as arguments of a Result; else None."""
    if subject.problem:
        return {"reason": subject.problem, "hint": "see: pgtv doctor --only metadata"}
    if evaluation.ask(subject, statements.policies(subject)) != ["false"]:
        role = evaluation.evaluated_as(subject)
        return {
            "reason": f"row-level security of {subject.label} would hide rows from {role}",
            "needs": (f"BYPASSRLS, or the owner's rights without FORCE, on {subject.label}",),
        }
    return None


def difference(subject: Subject, row: str) -> Difference:
    """One row of statements.differing."""
    kind, key, expected, found = json.loads(row)
    shown: tuple[paths.PathDiff, ...] = ()
    places = 0
    if kind == CHANGED:
        columns = [(c.name, c.json) for c in subject.columns]
        shown, places = paths.differences(columns, expected, found, PATHS_PER_ROW)
    elif kind in (MISSING, EXTRA):
        places = len(subject.columns)
    return Difference(KINDS.get(kind, "equal"), tuple(key), shown, places)


def check_rows(
    evaluation: Evaluation, subject: Subject, keys: Sequence[Sequence[str | None]]
) -> list[Difference]:
    """Rows of these identities that differ. Raises psycopg.Error."""
    part = statements.keys_in(subject, keys)
    query = statements.differing(
        subject, part, len(keys) + 100, exact_keys=not statements.by_equality(subject)
    )
    return [difference(subject, r) for r in evaluation.ask(subject, query)]


def _base(evaluation: Evaluation, subject: Subject, mode: str) -> dict[str, Any]:
    return {
        "tview": subject.label,
        "entity": subject.tview.entity,
        "mode": mode,
        "keys": subject.tview.identity,
        "table_oid": subject.tview.table_oid,
        "apart": subject.apart,
        "lsn": evaluation.lsn,
        "verified_at": evaluation.at,
        "evaluated_as": evaluation.evaluated_as(subject),
        "ignored_columns": subject.hidden,
    }


def _state(subject: Subject, differing: int) -> State:
    if not differing:
        return State.EQUAL
    return State.MAY_DIFFER if subject.apart else State.DIFFERS


def _fast(evaluation: Evaluation, subject: Subject, wanted: Wanted) -> int | None:
    """The rows that both sides have, when their hashes agree."""
    part = Part(sample=wanted.sample)
    prints = [
        json.loads(evaluation.ask(subject, statements.fingerprint(subject, part, side))[0])
        for side in ("v", "t")
    ]
    return int(prints[0][0]) if prints[0] == prints[1] else None


def _count(
    evaluation: Evaluation, subject: Subject, part: Part, counted: Counted
) -> tuple[bool, bool]:
    """Add one part's numbers; gives whether it differs, and whether identities went by image."""
    by_image = not statements.by_equality(subject)
    query = statements.count(subject, part, exact_keys=by_image)
    pairs, missing, extra, changed = json.loads(evaluation.ask(subject, query)[0])
    rows = int(evaluation.ask(subject, statements.table_rows(subject, part))[0])
    if not by_image and pairs - missing != rows:
        # a row of the table met two of the definition, which gives an identity twice
        by_image = True
        query = statements.count(subject, part, exact_keys=True)
        pairs, missing, extra, changed = json.loads(evaluation.ask(subject, query)[0])
    counted.table += rows
    counted.missing += missing
    counted.extra += extra
    counted.changed += changed
    return bool(missing or extra or changed), by_image


def _parts(evaluation: Evaluation, subject: Subject, wanted: Wanted) -> list[Part]:
    """The whole at once, or ranges of an integer key where reading by ranges costs no more.

    Ranges keep the server's memory and temporary files small and show progress. Their limits decide
    speed only: together they cover every identity, whatever the table holds.
    """
    whole = Part(sample=wanted.sample)
    pieces = round(subject.estimate / CHUNK_ROWS)
    if wanted.sample or pieces < 2 or len(subject.keys) != 1 or not subject.keys[0].integer:
        return [whole]
    low, high = json.loads(evaluation.ask(subject, statements.bounds(subject))[0])
    if low is None or high - low < pieces:
        return [whole]
    step = (high - low + 1) / pieces
    cuts = [low + round(step * i) for i in range(1, pieces)]
    ends: list[int | None] = [None, *cuts, None]
    parts = [*(Part(a, b) for a, b in itertools.pairwise(ends)), Part(nulls=True)]
    middle = Part(cuts[0], cuts[1] if len(cuts) > 1 else high + 1)
    one, all_ = (_cost(evaluation, subject, p) for p in (middle, Part()))
    return parts if one * len(parts) <= all_ * CHUNK_OVERHEAD else [whole]


def _cost(evaluation: Evaluation, subject: Subject, part: Part) -> float:
    """The planner's estimate of reading the definition's rows of a part."""
    query = statements.explain(statements.reading(subject, part))
    found = re.search(r"cost=[\d.]+\.\.([\d.]+)", evaluation.ask(subject, query)[0])
    return float(found.group(1)) if found else float("inf")


def refusal(error: psycopg.Error) -> tuple[str, str | None, tuple[str, ...]]:
    """Reason, hint and missing privileges of what the server refused."""
    message = (error.diag.message_primary or str(error)).strip().split("\n")[0]
    code = error.sqlstate
    if code is None:
        return f"the connection was lost: {message}", "is the server still up? run it again", ()
    reason = f"{message} (SQLSTATE {code})"
    if code == "42501":
        return reason, "grant it to the role that verifies, or name a role with --role", (message,)
    if code == "25006":
        return f"the definition tries to write: {reason}", "look at the functions it calls", ()
    if code == "57014":
        return reason, "raise --statement-timeout, or try --fast or --sample", ()
    if code == "55P03":
        return (
            reason,
            "somebody holds the table: see `pgtv doctor --only lock-wait`, or raise --lock-timeout",
            (),
        )
    return f"the definition could not be evaluated: {reason}", None, ()
