"""What a merge still has to do, cut into transactions that nobody waits long for.

Few differing rows are listed by key. So many that a list would be long are not: then all rows are
gone through by ranges of an integer key. Either way the size follows the clock: a batch should take
about as long as it was asked to, whatever a row costs.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from pgtv.rows.merge_sql import Key, part_of
from pgtv.rows.statements import CHANGED, EXTRA, MISSING, Part
from pgtv.rows.subject import Subject

ALL_KINDS = frozenset({MISSING, EXTRA, CHANGED})
Wrong = tuple[int, Key]  # kind of difference, identity

FIRST = 1000  # rows of the first batch
LEAST, MOST = 50, 50_000


@dataclass(frozen=True)
class Batch:
    """One transaction's rows. asked: how many it was to be; kinds: what is wrong with them, as far
    as it is known."""

    part: Part
    asked: int
    kinds: frozenset[int]
    keys: tuple[Key, ...] = ()  # empty for a range


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


class Keyed:
    """Batches of listed keys; may be taken from by several threads."""

    def __init__(self, subject: Subject, wrong: Sequence[Wrong], size: Size) -> None:
        self._subject, self._wrong, self._size = subject, wrong, size
        self._at = 0
        self._turn = threading.Lock()

    def take(self) -> Batch | None:
        """The next batch, or None when there is none left."""
        with self._turn:
            piece = self._wrong[self._at : self._at + self._size.rows]
            self._at += len(piece)
        if not piece:
            return None
        keys = tuple(key for _, key in piece)
        kinds = frozenset(k for k, _ in piece)
        return Batch(part_of(self._subject, keys), len(piece), kinds, keys)


class Ranged:
    """Ranges of an integer key that together cover every identity, null ones too.

    low, high: the table's; rows: about how many it has; kinds: what a sample of it showed.
    """

    def __init__(self, low: int, high: int, rows: float, kinds: frozenset[int], size: Size) -> None:
        self._next: int | None = None
        self._low, self._high, self._kinds, self._size = low, high, kinds, size
        self._width = (high - low + 1) / max(rows, 1.0)  # of key a row
        self._ended = self._nulls = False
        self._turn = threading.Lock()

    def take(self) -> Batch | None:
        """The next range, or None when there is none left."""
        with self._turn:
            if self._ended:
                if self._nulls:
                    return None
                self._nulls = True
                return Batch(Part(nulls=True), self._size.rows, self._kinds)
            start = self._next
            end = (self._low if start is None else start) + max(
                1, round(self._size.rows * self._width)
            )
            self._ended = end > self._high
            self._next = end
            return Batch(Part(start, None if self._ended else end), self._size.rows, self._kinds)


Work = Keyed | Ranged


def together(subject: Subject, batches: Sequence[Batch]) -> list[Part]:
    """The parts that these batches are, as few as can be, for one comparison each."""
    keys = [key for batch in batches for key in batch.keys]
    parts = [part_of(subject, keys)] if keys else []
    ranges = [b.part for b in batches if not b.keys and not b.part.nulls]
    if ranges:
        # taken in order, so they join; the first may begin and the last end nowhere
        lows = [p.low for p in ranges]
        highs = [p.high for p in ranges]
        parts.append(
            Part(
                None if None in lows else min(x for x in lows if x is not None),
                None if None in highs else max(x for x in highs if x is not None),
            )
        )
    if any(b.part.nulls for b in batches):
        parts.append(Part(nulls=True))
    return parts
