"""One batch of a merge, in one transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.rows import merge_sql, statements
from pgtv.rows.barrier import writers as holders
from pgtv.rows.batches import Batch
from pgtv.rows.merge_sql import Key
from pgtv.rows.statements import CHANGED, EXTRA, KINDS, MISSING
from pgtv.rows.subject import Subject
from pgtv.rows.throttle import held_up
from pgtv.rows.writer import Writer
from pgtv.session import RETRIED, retrying

if TYPE_CHECKING:
    from pgtv.rows.merge import Pace


@dataclass(frozen=True)
class Overwritten:
    """One row as it was before: texts of its columns, None where it was missing."""

    kind: str  # missing | extra | changed
    key: Key
    old: tuple[str | None, ...] | None = None


class Contended(Exception):
    """Others hold rows of a batch, or it met them in another order."""


class HeldByPrepared(Exception):
    """Rows of a batch are locked by prepared transactions, which cannot be waited for."""

    def __init__(self, gids: tuple[str, ...]) -> None:
        super().__init__(*gids)
        self.gids = gids


@dataclass
class Done:
    """One batch's numbers. behind: transactions that waited for it; keys: of its rows, as far as they
    are known; overwritten: of these, as they were, within the pace's bound."""

    deleted: int = 0
    updated: int = 0
    inserted: int = 0
    retries: int = 0
    behind: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    overwritten: tuple[Overwritten, ...] = ()

    @property
    def written(self) -> int:
        return self.deleted + self.updated + self.inserted


def write(
    writer: Writer,
    subject: Subject,
    batch: Batch,
    overwritten: list[Overwritten],
    pace: Pace,
    lock_timeout: int,
    relations: Sequence[int],
    *,
    once: bool,
) -> Done:
    """One batch in one explicit transaction: queued refreshes of dependents flush at its COMMIT.

    once: raise Contended rather than try again.
    """
    import psycopg

    retries = 0

    def attempt() -> tuple[Done, list[Overwritten]]:
        done, part = Done(), batch.part
        steps = {"lock": merge_sql.lock_rows(subject, part)}
        if (room := pace.kept - len(overwritten)) > 0:
            by_image = not statements.by_equality(subject)
            steps["before"] = statements.differing(subject, part, room, exact_keys=by_image)
        if EXTRA in batch.kinds:
            steps["deleted"] = merge_sql.delete_extra(subject, part)
        if CHANGED in batch.kinds:
            steps["updated"] = merge_sql.update_changed(subject, part)
        if MISSING in batch.kinds:
            steps["inserted"] = merge_sql.insert_missing(subject, part)

        def before_commit(pid: int) -> None:
            if pace.between:
                done.behind = held_up(writer.aside, pid)

        rows = writer.write(list(steps.values()), lock_timeout, before_commit)
        found = dict(zip(steps, rows, strict=True))
        done.deleted = _count(found.get("deleted"))
        done.updated = _count(found.get("updated"))
        done.inserted = _count(found.get("inserted"))
        return done, [_overwritten(row) for row in found.get("before", ())]

    def again(_: tuple[str, float]) -> None:
        nonlocal retries
        retries += 1

    deadline = time.monotonic() + pace.barrier_timeout
    while True:
        try:
            pace.stop.check()
            done, old = attempt() if once else retrying(attempt, again, pace.stop.pause)
            break
        except psycopg.Error as e:
            if once and e.sqlstate in RETRIED:
                raise Contended from None
            if not isinstance(e, psycopg.errors.LockNotAvailable):
                raise
            # somebody has held these rows for seconds: as patient as at a barrier
            gids = {gid for gid in holders(writer.aside, relations).values() if gid}
            if gids:
                raise HeldByPrepared(tuple(sorted(gids))) from None
            if time.monotonic() > deadline:
                raise
    done.retries = retries
    # of a range only the rows that were kept are known by key
    done.keys = batch.keys or tuple(row.key for row in old)
    if done.written:
        done.overwritten = tuple(old)
        overwritten += old
    return done


def _overwritten(row: str) -> Overwritten:
    """A row that is about to be written, as it is."""
    kind, key, _, old = json.loads(row)
    had = None if kind == MISSING else tuple(_text(v) for v in old)
    return Overwritten(KINDS[kind], tuple(key), had)


def _text(value: Any) -> str | None:
    """A column's text; of one too large to keep its size is told."""
    return f"({value[0]} bytes)" if isinstance(value, list) else value


def _count(rows: list[str] | None) -> int:
    return int(rows[0]) if rows else 0
