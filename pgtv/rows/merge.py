"""Brings the rows of one TVIEW up to date beside running writers, without keeping readers waiting.

Only rows that differ are written, in batches, each in a short transaction: lock the rows in key
order, compute in later statements, write, commit. That alone is not enough. A writer whose
transaction is open meanwhile computed its rows from what it saw before the batch: it may put an old
value back, or delete a base row whose TVIEW row the batch has just inserted. So after the batches of
a few seconds comes a barrier: the transactions that held a writer's lock on the tables concerned
after the last of them committed are waited for, and the batches are compared again; what differs
then is merged again. A writer that begins later sees their rows and is right by itself.

A prepared transaction cannot be waited for: then the result is unknown and its gid is named.

The definition runs as the TVIEW's owner, never with a superuser's rights (see pgtv.rows.evaluate);
tables of TVIEWs that others map from carry triggers, which propagate what is written here. TVIEWs
that embed this one are not told: merge in dependency order, dependents included.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgtv.rows import merge_sql, statements
from pgtv.rows.barrier import wait_for_writers
from pgtv.rows.barrier import writers as holders
from pgtv.rows.batches import Batch, Keyed, Ranged, Size, Work, Wrong, together
from pgtv.rows.merge_sql import Key
from pgtv.rows.statements import CHANGED, EXTRA, KINDS, MISSING, Part
from pgtv.rows.subject import Subject
from pgtv.rows.writer import Writer, patience
from pgtv.rows.wrong import Listed, wrong_rows
from pgtv.session import retrying

if TYPE_CHECKING:
    import psycopg

ROUNDS = 8  # a row still wrong after so many barriers has a cause that merging does not cure
GROUP = 5.0  # seconds of batches before a barrier: how long a row may be wrong anew


@dataclass(frozen=True)
class Overwritten:
    """One row as it was before: texts of its columns, None where it was missing."""

    kind: str  # missing | extra | changed
    key: Key
    old: tuple[str | None, ...] | None = None


@dataclass
class Merged:
    """What one TVIEW's merge did. waited: seconds spent at barriers; unknown: gids in the way."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    batches: int = 0
    rounds: int = 0
    waited: float = 0.0
    longest_batch: float = 0.0
    retries: int = 0
    unsettled: list[Key] = field(default_factory=list)
    unknown: tuple[str, ...] = ()
    overwritten: list[Overwritten] = field(default_factory=list)  # up to the pace's bound

    @property
    def written(self) -> int:
        return self.inserted + self.updated + self.deleted

    @property
    def keys(self) -> list[Key]:
        """Identities of the rows written, within the bound: for whoever caches them."""
        return [row.key for row in self.overwritten]


@dataclass(frozen=True)
class Pace:
    """How much at once.

    batch: rows a transaction, None for what takes `longest`; longest: seconds a transaction should
    last, which is what a writer of the same rows may wait; barrier_timeout: seconds a barrier may
    last; kept: rows of which the old values are kept. between: called before each batch with the
    rows of the one before, to wait for whatever should not be disturbed.
    """

    batch: int | None = None
    longest: float = 0.25
    barrier_timeout: float = 300.0
    kept: int = 1000
    between: Callable[[psycopg.Connection[Any], int], None] | None = None


class _HeldByPrepared(Exception):
    """Rows of a batch are locked by prepared transactions, which cannot be waited for."""

    def __init__(self, gids: tuple[str, ...]) -> None:
        super().__init__(*gids)
        self.gids = gids


Barrier = Callable[[Writer, Sequence[int], float], tuple[str, ...]]


def barrier_of_writers(writer: Writer, relations: Sequence[int], timeout: float) -> tuple[str, ...]:
    """Wait for who writes these relations now; gives gids that cannot be waited for."""
    return wait_for_writers(writer.connection, relations, timeout)


def merge(
    writers: Sequence[Writer],
    subject: Subject,
    listed: Listed,
    relations: Sequence[int],
    pace: Pace | None = None,
    on_batch: Callable[[Merged], None] | None = None,
    barrier: Barrier = barrier_of_writers,
) -> Merged:
    """Make the rows that `listed` names what the definition gives; all rows where it names none.

    writers: sessions, of which each writes batches of its own; the first one also compares.
    relations: OIDs of every table whose writers can reach the TVIEW, and of the TVIEW itself.
    barrier: replaced only by the test that shows why it is needed. Raises psycopg.Error; what was
    committed until then stays, and a further run goes on from there.
    """
    pace = pace or Pace()
    result = Merged()
    size = Size(pace.longest, pace.batch)
    bound = patience(writers[0].connection)
    rows: Sequence[Wrong] = listed.rows
    work: Work = (
        Ranged(*listed.bounds, max(subject.estimate, len(rows)), listed.kinds, size)
        if listed.bounds
        else Keyed(subject, rows, size)
    )
    while result.rounds < ROUNDS and (rows or result.rounds == 0):
        result.rounds += 1
        wrong: list[Wrong] = []
        while batches := _write_group(
            writers, subject, work, size, result, pace, bound, relations, on_batch
        ):
            before = time.monotonic()
            gids = barrier(writers[0], relations, pace.barrier_timeout)
            result.unknown += tuple(g for g in gids if g not in result.unknown)
            result.waited += time.monotonic() - before
            for part in together(subject, batches):
                wrong += wrong_rows(writers[0].connection, writers[0].run, subject, part)
            if result.unknown:
                break
        rows = wrong
        if result.unknown:
            break
        work = Keyed(subject, rows, size)
    result.unsettled = [key for _, key in rows]
    return result


def _write_group(
    writers: Sequence[Writer],
    subject: Subject,
    work: Work,
    size: Size,
    result: Merged,
    pace: Pace,
    lock_timeout: int,
    relations: Sequence[int],
    on_batch: Callable[[Merged], None] | None,
) -> list[Batch]:
    """Write batches for some seconds, by all writers; gives those that were written."""
    deadline = time.monotonic() + GROUP
    written: list[Batch] = []
    failures: list[BaseException] = []
    turn = threading.Lock()

    def go(writer: Writer) -> None:
        rows = 0
        try:
            while not failures and time.monotonic() < deadline:
                if pace.between:
                    pace.between(writer.connection, rows)
                batch = work.take()
                if batch is None:
                    return
                started = time.monotonic()
                done = _write(
                    writer, subject, batch, result.overwritten, pace, lock_timeout, relations
                )
                took = time.monotonic() - started
                rows = done.written
                size.learn(batch.asked, took)
                with turn:
                    written.append(batch)
                    _add(result, done, took)
                    if on_batch:
                        on_batch(result)
        except BaseException as e:
            failures.append(e)

    if len(writers) == 1:
        go(writers[0])
    else:
        _in_threads(go, writers, failures)
    if failures and not isinstance(failures[0], _HeldByPrepared):
        raise failures[0]
    for held in failures:
        if isinstance(held, _HeldByPrepared):
            result.unknown += tuple(g for g in held.gids if g not in result.unknown)
    return written


def _in_threads(
    go: Callable[[Writer], None], writers: Sequence[Writer], failures: list[BaseException]
) -> None:
    threads = [threading.Thread(target=go, args=(w,)) for w in writers]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt as e:
        failures.append(e)
        for writer in writers:
            writer.connection.cancel_safe(timeout=3)
        for thread in threads:
            thread.join()


@dataclass
class _Done:
    """One batch's numbers."""

    deleted: int = 0
    updated: int = 0
    inserted: int = 0
    retries: int = 0

    @property
    def written(self) -> int:
        return self.deleted + self.updated + self.inserted


def _add(result: Merged, done: _Done, took: float) -> None:
    result.deleted += done.deleted
    result.updated += done.updated
    result.inserted += done.inserted
    result.retries += done.retries
    result.batches += 1
    result.longest_batch = max(result.longest_batch, took)


def _write(
    writer: Writer,
    subject: Subject,
    batch: Batch,
    overwritten: list[Overwritten],
    pace: Pace,
    lock_timeout: int,
    relations: Sequence[int],
) -> _Done:
    """One batch in one explicit transaction: queued refreshes of dependents flush at its COMMIT."""
    import psycopg

    retries = 0

    def once() -> tuple[_Done, list[Overwritten]]:
        done, old = _Done(), list[Overwritten]()
        with writer.connection.transaction():
            writer.connection.execute(f"SET LOCAL lock_timeout = {lock_timeout}".encode())
            writer.run(merge_sql.lock_rows(subject, batch.part))
            room = pace.kept - len(overwritten)
            if room > 0:
                old = _before(writer, subject, batch.part, room)
            if EXTRA in batch.kinds:
                done.deleted = _count(writer.run(merge_sql.delete_extra(subject, batch.part)))
            if CHANGED in batch.kinds:
                done.updated = _count(writer.run(merge_sql.update_changed(subject, batch.part)))
            if MISSING in batch.kinds:
                done.inserted = _count(writer.run(merge_sql.insert_missing(subject, batch.part)))
        return done, old

    def again(_: tuple[str, float]) -> None:
        nonlocal retries
        retries += 1

    deadline = time.monotonic() + pace.barrier_timeout
    while True:
        try:
            done, old = retrying(once, again)
            break
        except psycopg.errors.LockNotAvailable:
            # somebody has held these rows for seconds: as patient as at a barrier
            gids = {gid for gid in holders(writer.connection, relations).values() if gid}
            if gids:
                raise _HeldByPrepared(tuple(sorted(gids))) from None
            if time.monotonic() > deadline:
                raise
    done.retries = retries
    if done.written:
        overwritten += old
    return done


def _before(writer: Writer, subject: Subject, part: Part, room: int) -> list[Overwritten]:
    """The rows that are about to be written, as they are."""
    by_image = not statements.by_equality(subject)
    found = []
    for row in writer.run(statements.differing(subject, part, room, exact_keys=by_image)):
        kind, key, _, old = json.loads(row)
        had = None if kind == MISSING else tuple(_text(v) for v in old)
        found.append(Overwritten(KINDS[kind], tuple(key), had))
    return found


def _text(value: Any) -> str | None:
    """A column's text; of one too large to keep its size is told."""
    return f"({value[0]} bytes)" if isinstance(value, list) else value


def _count(rows: list[str]) -> int:
    return int(rows[0]) if rows else 0
