"""What a merge did to one TVIEW, as receipts keep it: plain JSON types."""

from __future__ import annotations

from typing import Annotated, TypedDict


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
