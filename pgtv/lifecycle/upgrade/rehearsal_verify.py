"""Whether everything is as before and rows are right, as points: what `pgtv upgrade verify` prints."""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.diff import Change
from pgtv.catalog.model import Snapshot
from pgtv.finding import Severity
from pgtv.lifecycle.upgrade import same
from pgtv.lifecycle.verdict import Point
from pgtv.rows.result import State
from pgtv.rows.run import Plan, verify_all
from pgtv.session import Target


def points(before: Snapshot, after: Snapshot, target: Target) -> Iterator[Point]:
    """What is not as in `before`, by what it means; nothing when all is, and rows are equal.

    target: the database that `after` is of; its rows are compared with definitions.
    Raises ConnectError.
    """
    where = before.server.database
    found = same.compare(before, after)
    if found.changes:
        lost = same.lost(found)
        yield Point(
            f"other-than-before:{where}",
            Severity.CRITICAL if lost else Severity.WARNING,
            f"In {where}, {'something is missing' if lost else 'something is other'} than before.",
            tuple(_told(c) for c in found.changes),
        )
    if found.not_compared:
        yield Point(
            f"not-compared:{where}",
            Severity.UNKNOWN,
            f"In {where}, not everything could be compared.",
            tuple(f"{gap.section} ({side}): {gap.reason}" for side, gap in found.not_compared),
        )
    results = verify_all(Plan(after, target, after.tviews))
    if differ := tuple(r.tview for r in results if r.state is State.DIFFERS):
        yield Point(
            f"rows-differ:{where}",
            Severity.CRITICAL,
            f"In {where}, rows of TVIEWs are not what their definitions say.",
            differ,
            ("pgtv verify   # which rows", "pgtv refresh --apply   # brings them"),
        )
    if unknown := [r for r in results if r.state is State.UNKNOWN]:
        yield Point(
            f"rows-unknown:{where}",
            Severity.UNKNOWN,
            f"In {where}, rows could not be compared.",
            tuple(f"{r.tview}: {r.reason}" for r in unknown),
        )


def _told(change: Change) -> str:
    name = f"{change.kind} {change.object}"
    if change.change != "changed":
        return f"{name}: {'gone' if change.change == 'removed' else 'new'}"
    old, new = change.before, change.after
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        parts = [f"- {x}" for x in old if x not in new] + [f"+ {x}" for x in new if x not in old]
        return f"{name}, {change.field}: {', '.join(parts) or 'in another order'}"
    return f"{name}, {change.field}: {old} → {new}"
