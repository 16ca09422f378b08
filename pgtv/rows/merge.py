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

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.rows.barrier import wait_for_writers
from pgtv.rows.batches import Batch, Keyed, Paged, Ranged, Size, Work, Wrong, together
from pgtv.rows.merge_sql import Key
from pgtv.rows.statements import CHANGED
from pgtv.rows.stopping import Stop
from pgtv.rows.subject import Subject
from pgtv.rows.throttle import Limits
from pgtv.rows.transaction import Contended, Done, HeldByPrepared, Overwritten, write
from pgtv.rows.writer import Writer, patience
from pgtv.rows.wrong import Listed, by_ranges, marks, page, wrong_rows

if TYPE_CHECKING:
    import psycopg

ROUNDS = 8  # a row still wrong after so many barriers has a cause that merging does not cure
MOVING = 2  # rounds after which a definition that gives other rows each time explains what differs
CROWDED = 3600.0  # seconds: as if a batch that met other writers had taken for ever
KEYS = 200_000  # of rows written, that are kept: where fewer differ it is all of them
GROUP = 5.0  # seconds of batches before a barrier: how long a row may be wrong anew


@dataclass
class Merged:
    """What one TVIEW's merge did.

    waited: seconds spent at barriers; unknown: gids in the way; unsettled: rows that differ in the
    end; moves: why they do so rightly. keys: identities of rows written, for whoever caches them;
    all_keys: of every one of them, which they are not where ranges of the key were written.
    """

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
    moves: str | None = None
    overwritten: list[Overwritten] = field(default_factory=list)  # up to the pace's bound
    keys: list[Key] = field(default_factory=list)
    all_keys: bool = True

    @property
    def written(self) -> int:
        return self.inserted + self.updated + self.deleted

    @property
    def counts(self) -> str:
        """For people."""
        return f"{self.inserted:,} inserted, {self.updated:,} changed, {self.deleted:,} deleted"


@dataclass(frozen=True)
class Pace:
    """How much at once.

    batch: rows a transaction, None for what takes `longest`; longest: seconds a transaction should
    last, which is what a writer of the same rows may wait; barrier_timeout: seconds a barrier may
    last; kept: rows of which the old values are kept. limits, control: what a merge is held back by,
    see pgtv.rows.throttle; say: told of it. jobs: sessions that write side by side. between: what holds
    it back, called before each batch as a Throttle is; `bring` makes one where there is none. stop: ends
    all that goes at this pace.
    """

    batch: int | None = None
    longest: float = 0.25
    barrier_timeout: float = 300.0
    kept: int = 1000
    limits: Limits = field(default_factory=Limits)
    control: Path | None = None
    say: Callable[[str], None] = lambda _: None
    jobs: int = 1
    between: Callable[[psycopg.Connection[Any], int, Sequence[str]], None] | None = None
    stop: Stop = field(default_factory=Stop)


Barrier = Callable[[Writer, Sequence[int], Pace], tuple[str, ...]]
OnBatch = Callable[[Merged, Done], None]


def barrier_of_writers(writer: Writer, relations: Sequence[int], pace: Pace) -> tuple[str, ...]:
    """Wait for who writes these relations now; gives gids that cannot be waited for."""
    return wait_for_writers(writer.aside, relations, pace.barrier_timeout, pace.stop.pause)


def merge(
    writers: Sequence[Writer],
    subject: Subject,
    listed: Listed,
    relations: Sequence[int],
    pace: Pace | None = None,
    on_batch: OnBatch | None = None,
    barrier: Barrier = barrier_of_writers,
    moves: Callable[[], str | None] = lambda: None,
) -> Merged:
    """Make the rows that `listed` names what the definition gives; all rows where it names none.

    writers: sessions, of which each writes batches of its own; the first one also compares.
    relations: OIDs of every table whose writers can reach the TVIEW, and of the TVIEW itself.
    on_batch: told of each batch that was committed, before the barrier, and of all until then.
    barrier: replaced only by the test that shows why it is needed. moves: why the definition gives
    other rows each time, asked for when rows differ for the second time. Raises psycopg.Error, and
    KeyboardInterrupt once it is to stop; what was committed until then stays, and a further run goes on
    from there.
    """
    pace = pace or Pace()
    result = Merged()
    size = Size(pace.longest, pace.batch)
    bound = patience(writers[0].aside)
    rows: Sequence[Wrong] = listed.rows
    # of a definition that moves, what that explains: not a row that is missing, or too much, before it is
    # written and afterwards again, which something else keeps out, or in
    moving: list[Wrong] = []
    why: str | None = None
    work = _work(writers[0], subject, listed, size)
    while result.rounds < ROUNDS and (rows or result.rounds == 0):
        result.rounds += 1
        wrong: list[Wrong] = []
        while batches := _write_group(
            writers, subject, work, size, result, pace, bound, relations, on_batch
        ):
            before = time.monotonic()
            gids = barrier(writers[0], relations, pace)
            result.unknown += tuple(g for g in gids if g not in result.unknown)
            result.waited += time.monotonic() - before
            for part in together(subject, batches):
                left = wrong_rows(writers[0].look, subject, part)
                if part.low is None or not work.again(batches, left):
                    wrong += left
            if result.unknown:
                break
        tried, rows = set(rows), wrong
        if result.unknown:
            break
        if rows and result.rounds >= MOVING and (why := why or moves()):
            stuck = [row for row in rows if row in tried and row[0] != CHANGED]
            moving += [row for row in rows if row not in tried or row[0] == CHANGED]
            rows = stuck
        work = Keyed(subject, rows, size)
    result.moves = why if moving and not rows else None
    result.unsettled = [key for _, key in rows or moving]
    return result


def _work(writer: Writer, subject: Subject, listed: Listed, size: Size) -> Work:
    """All that is to be done first. Raises psycopg.Error."""
    if not listed.more:
        return Keyed(subject, listed.rows, size)
    if by_ranges(subject):
        return Ranged(marks(writer.look, subject), size, listed.kinds)

    def more(after: Key) -> tuple[Sequence[Wrong], bool]:
        found = page(writer.look, subject, after)
        return found.rows, found.more

    return Paged(subject, listed.rows, size, more)


def _by_key(writer: Writer, subject: Subject, batch: Batch, size: Size) -> list[Batch]:
    """What differs of a range, in batches of keys. Raises psycopg.Error."""
    wrong = wrong_rows(writer.look, subject, batch.part)
    return list(iter(Keyed(subject, wrong, size).take, None))


def _write_group(
    writers: Sequence[Writer],
    subject: Subject,
    work: Work,
    size: Size,
    result: Merged,
    pace: Pace,
    lock_timeout: int,
    relations: Sequence[int],
    on_batch: OnBatch | None,
) -> list[Batch]:
    """Write batches for some seconds, by all writers; gives those that were written."""
    deadline = time.monotonic() + GROUP
    written: list[Batch] = []
    failures: list[BaseException] = []
    turn = threading.Lock()

    def go(writer: Writer) -> None:
        done = Done()
        left: list[Batch] = []  # parts of a batch that met other writers, or was too large
        try:
            # no group without a batch: that would look as if none were left
            while not failures and (left or not written or time.monotonic() < deadline):
                if pace.between:
                    pace.between(writer.aside, done.written, done.behind)
                pace.stop.check()
                batch = left.pop() if left else work.take()
                if batch is None:
                    return
                if batch.place is not None and batch.asked > size.rows:
                    # as many rows lie between two marks: they are not counted more closely
                    left += reversed(_by_key(writer, subject, batch, size))
                    done = Done()
                    continue
                started = time.monotonic()
                try:
                    done = write(
                        writer, subject, batch, result.overwritten, pace, lock_timeout, relations,
                        once=not batch.last,
                    )  # fmt: skip
                except Contended:
                    done = Done()
                    if batch.place is not None:
                        left += reversed(_by_key(writer, subject, batch, size))
                    elif halves := batch.halves(subject):
                        left += reversed(halves)
                    else:
                        work.put_off(batch)
                    size.learn(batch.asked, CROWDED)
                    with turn:
                        result.retries += 1
                    continue
                took = time.monotonic() - started
                size.learn(batch.asked, took)
                with turn:
                    written.append(batch)
                    _add(result, done, took)
                    if on_batch:
                        on_batch(result, done)
        except BaseException as e:
            failures.append(e)

    if len(writers) == 1:
        go(writers[0])
    else:
        _in_threads(go, writers, failures, pace.stop)
    if failures and not isinstance(failures[0], HeldByPrepared):
        raise failures[0]
    for held in failures:
        if isinstance(held, HeldByPrepared):
            result.unknown += tuple(g for g in held.gids if g not in result.unknown)
    return written


def _in_threads(
    go: Callable[[Writer], None],
    writers: Sequence[Writer],
    failures: list[BaseException],
    stop: Stop,
) -> None:
    threads = [threading.Thread(target=go, args=(w,)) for w in writers]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt as e:
        failures.insert(0, e)

        def ended(seconds: float) -> bool:
            for thread in threads:
                thread.join(seconds / len(threads))
            return not any(thread.is_alive() for thread in threads)

        stop.all([w.connection for w in writers], ended)


def _add(result: Merged, done: Done, took: float) -> None:
    result.deleted += done.deleted
    result.updated += done.updated
    result.inserted += done.inserted
    result.retries += done.retries
    result.batches += 1
    result.longest_batch = max(result.longest_batch, took)
    if done.written:
        room = max(KEYS - len(result.keys), 0)
        result.keys += done.keys[:room]
        result.all_keys &= done.written <= len(done.keys) <= room
