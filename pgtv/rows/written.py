"""What a merge did to one TVIEW, as receipts keep it: plain JSON types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

if TYPE_CHECKING:
    from pgtv.rows.bring import Brought


class OverwrittenRow(TypedDict):
    """A row as it was before: texts of its columns, null where it was missing."""

    kind: Annotated[str, "missing", "extra", "changed"]
    key: list[str | None]
    old: list[str | None] | None


class RefreshedTview(TypedDict):
    """What was done to one TVIEW. differing: rows that differed before; at_least: there were more than
    were counted. keys: rows written, by identity; all_keys: it has every one of them. complete:
    overwritten has. rebuilt: equal now, by the extension's own refresh, which may have written any row:
    no number, key or old value of it is known."""

    tview: str
    end: Annotated[
        str, "equal", "differs", "merged", "rebuilt", "may differ", "unsettled", "unknown"
    ]
    differing: int
    at_least: bool
    inserted: int
    updated: int
    deleted: int
    batches: int
    rounds: int
    retries: int
    seconds: float
    waited_seconds: float
    longest_batch_seconds: float
    grew_bytes: int
    reason: str | None
    keys: list[list[str | None]]
    all_keys: bool
    overwritten: list[OverwrittenRow]
    complete: bool


class TouchedTview(RefreshedTview):
    """What was done to one TVIEW after prepared transactions that had touched it were ended. hint: what
    to do where it could not be brought."""

    database: str
    hint: str | None


def entry(b: Brought) -> RefreshedTview:
    """What a receipt keeps of one TVIEW."""
    m = b.merged
    return {
        "tview": b.tview, "end": b.end.value, "differing": b.differing, "at_least": b.at_least,
        "inserted": m.inserted, "updated": m.updated, "deleted": m.deleted, "batches": m.batches,
        "rounds": m.rounds, "retries": m.retries, "seconds": b.seconds,
        "waited_seconds": round(m.waited, 3), "longest_batch_seconds": round(m.longest_batch, 3),
        "grew_bytes": b.grew_bytes, "reason": b.reason,
        # one that a writer put back was written again
        "keys": [list(k) for k in dict.fromkeys(m.keys)], "all_keys": m.all_keys and not b.rebuilt,
        "overwritten": [
            {"kind": o.kind, "key": list(o.key), "old": None if o.old is None else list(o.old)}
            for o in m.overwritten
        ],
        "complete": len(m.overwritten) >= m.written and not b.rebuilt,
    }  # fmt: skip
