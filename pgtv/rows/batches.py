"""What a merge still has to do, cut into transactions that nobody waits long for.

Few differing rows are listed by key. So many that a list would be long are not: then all rows are
gone through by ranges of the key, or, where ranges of it are none, listed page by page. Ranges are cut
where rows are and not where keys should be, as those lie anyhow: a batch has no more rows of either
side than it was to have. Its size follows the clock: a batch should take about as long as it was asked
to, whatever a row costs. One that meets other writers is cut in halves, down to single rows, and what is
left then comes last: who asks for a thousand rows that others keep writing never gets them all at once,
and one row that is held holds up none beside it. A range is listed by key before that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pgtv.rows.merge_sql import Key, part_of
from pgtv.rows.statements import CHANGED, EXTRA, MISSING, Part
from pgtv.rows.subject import Subject

ALL_KINDS = frozenset({MISSING, EXTRA, CHANGED})
Wrong = tuple[int, Key]  # kind of difference, identity

FIRST = 1000  # rows of the first batch
LEAST, MOST = 50, 50_000


class Mark(NamedTuple):
    """A key at which a range may begin. side: whose it is, the table's (t) or the definition's (v);
    rows: the most that this side has until its next mark."""

    side: str
    key: int | str
    rows: int


@dataclass(frozen=True)
class Batch:
    """One transaction's rows. asked: how many it may have; kinds: what is wrong with them, as far as it
    is known; place: which of the ranges; last: all others were taken before."""

    part: Part
    asked: int
    kinds: frozenset[int] = ALL_KINDS
    keys: tuple[Key, ...] = ()  # empty for a range
    place: int | None = None
    last: bool = False

    def halves(self, subject: Subject) -> tuple[Batch, ...]:
        """The same keys in two batches; none where it is a single one, or a range."""
        asked, middle = max(self.asked // 2, 1), len(self.keys) // 2
        if not middle:
            return ()
        return tuple(
            Batch(part_of(subject, keys), asked, self.kinds, keys)
            for keys in (self.keys[:middle], self.keys[middle:])
        )


class Size:
    """Rows a batch: `fixed` where somebody chose, else what lasts about `seconds`."""

    def __init__(self, seconds: float, fixed: int | None = None) -> None:
        self.rows = fixed or FIRST
        self._fixed = fixed is not None
        self._seconds = seconds

    def learn(self, asked: int, seconds: float) -> None:
        """A batch that was to have so many rows took so long, however many it had."""
        if self._fixed:
            return
        wanted = asked * self._seconds / max(seconds, 0.001)
        # towards it, not to it: one slow batch is no trend
        nearer = min(max(wanted, self.rows / 2), self.rows * 2)
        self.rows = int(min(max(nearer, LEAST), MOST))


class Work:
    """Batches to be taken, by several threads too."""

    def __init__(self) -> None:
        self._put_off: list[Batch] = []
        self._turn = threading.Lock()

    def take(self) -> Batch | None:
        """The next batch, those that were put off last of all, or None when there is none left."""
        with self._turn:
            batch = self._next()
            return self._put_off.pop() if batch is None and self._put_off else batch

    def put_off(self, batch: Batch) -> None:
        """Give this one when there is no other."""
        with self._turn:
            self._put_off.append(replace(batch, last=True))

    def again(self, batches: Sequence[Batch], left: Iterable[Wrong]) -> bool:
        """Whether the ranges among these, in which such rows are left, are given once more."""
        return False

    def _next(self) -> Batch | None:
        raise NotImplementedError


class Keyed(Work):
    """Batches of listed keys."""

    def __init__(self, subject: Subject, wrong: Sequence[Wrong], size: Size) -> None:
        super().__init__()
        self._subject, self._wrong, self._size = subject, wrong, size
        self._at = 0

    def _next(self) -> Batch | None:
        piece = self._wrong[self._at : self._at + self._size.rows]
        self._at += len(piece)
        if not piece:
            return None
        keys = tuple(key for _, key in piece)
        kinds = frozenset(k for k, _ in piece)
        return Batch(part_of(self._subject, keys), len(piece), kinds, keys)


class Paged(Keyed):
    """Batches of listed keys, of which more are asked for when these are given out.

    more: gives those that follow a key, and whether there are others yet.
    """

    def __init__(
        self,
        subject: Subject,
        wrong: Sequence[Wrong],
        size: Size,
        more: Callable[[Key], tuple[Sequence[Wrong], bool]],
    ) -> None:
        super().__init__(subject, wrong, size)
        self._more, self._others = more, True

    def _next(self) -> Batch | None:
        batch = super()._next()
        while batch is None and self._others and self._wrong:
            self._at = 0
            self._wrong, self._others = self._more(self._wrong[-1][1])
            batch = super()._next()
        return batch


class Ranged(Work):
    """Ranges of the key that together cover every row of both sides, null keys too.

    marks: in order of the key, each side's first and last key among them. A row whose key lies outside
    came later, and is right by itself. A range has as many rows of each side as a batch is to have or
    fewer, or what lies between two marks where that is more. kinds: of what differs, as far as it is
    known: finding them all beforehand would mean to carry every row that differs through a sort.
    """

    def __init__(
        self, marks: Sequence[Mark], size: Size, kinds: frozenset[int] = ALL_KINDS
    ) -> None:
        super().__init__()
        self._marks, self._size, self._kinds = marks, size, kinds
        self._steps = {m.side: m.rows for m in marks}
        self._at, self._nulls = 0, False

    def again(self, batches: Sequence[Batch], left: Iterable[Wrong]) -> bool:
        kinds = frozenset(kind for kind, _ in left)
        if kinds <= self._kinds:
            return False
        self._kinds |= kinds
        self._at = min(b.place for b in batches if b.place is not None)
        return True

    def _next(self) -> Batch | None:
        if self._at >= len(self._marks):
            if self._nulls:
                return None
            self._nulls = True
            return Batch(Part(nulls=True), self._size.rows, self._kinds)
        marks, first = self._marks, self._at
        rows = dict(self._steps)  # of each side, from its mark at or before the first one here
        end = first + 1
        while end < len(marks):
            mark = marks[end]
            if mark.key != marks[first].key:  # else there is nothing between the two
                more = rows[mark.side] + mark.rows
                if more > self._size.rows:
                    break
                rows[mark.side] = more
            end += 1
        self._at = end
        low, asked = marks[first].key, max(rows.values())
        if end == len(marks):
            return Batch(Part(low, upto=marks[-1].key), asked, self._kinds, place=first)
        return Batch(Part(low, marks[end].key), asked, self._kinds, place=first)


def together(subject: Subject, batches: Sequence[Batch]) -> list[Part]:
    """The parts that these batches are, as few as can be, for one comparison each."""
    keys = [key for batch in batches for key in batch.keys]
    parts = [part_of(subject, keys)] if keys else []
    # taken in order, so they join
    ranges = sorted((b.place, b.part) for b in batches if b.place is not None)
    if ranges:
        last = ranges[-1][1]
        parts.append(Part(ranges[0][1].low, last.high, last.upto))
    if any(b.part.nulls for b in batches):
        parts.append(Part(nulls=True))
    return parts
