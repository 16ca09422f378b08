"""When a receipt is written while a run goes on, and from what.

It is written whole, and grows with each TVIEW: written as each of them ends, a run over many would do
little else. Lines beside it (see pgtv.journal) have by then what it lacks, so it need not be.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable

from pgtv.journal import Journal
from pgtv.rows.written import RefreshedTview

EVERY = 5.0  # seconds between two writes, at least
SHARE = 20  # times as long as a write takes is what passes until the next one, at least


class Saving:
    """Of one receipt. save: writes it with all that it was given so far; raises UsageError."""

    def __init__(self, save: Callable[[], None], journal: Journal) -> None:
        self._save, self._journal = save, journal
        self._lacking: list[str] = []  # TVIEWs that ended since it was written
        self._due = time.monotonic() + EVERY

    def tview(self, one: RefreshedTview) -> None:
        """One ended, and what is saved next has it. Raises UsageError."""
        self._journal.end(one)
        self._lacking.append(one["tview"])
        if not self._journal.kept or time.monotonic() >= self._due:
            self.now()

    def now(self) -> None:
        """Write it. Raises UsageError."""
        began = time.monotonic()
        self._save()
        ended = time.monotonic()
        self._due = ended + max(EVERY, SHARE * (ended - began))
        while self._lacking:
            self._journal.ended(self._lacking[0])
            del self._lacking[0]


class Texts:
    """Entries as JSON, each rendered once however often the receipt is written: tens of thousands of keys
    are most of the work."""

    def __init__(self) -> None:
        # with the entry itself, so that its id stays its own
        self._known: dict[int, tuple[RefreshedTview, str]] = {}

    def of(self, one: RefreshedTview) -> str:
        if id(one) not in self._known:
            self._known[id(one)] = (one, json.dumps(one, ensure_ascii=False, indent=2))
        return self._known[id(one)][1]

    def within(self, document: str, name: str, entries: Iterable[RefreshedTview]) -> str:
        """A document as json.dumps gives it with an indent of 2, with these in its list `name`, which is
        empty there."""
        # strings of JSON hold no line feed, so this is the list itself
        before, place, after = document.partition(f'\n  "{name}": []')
        texts = [self.of(one).replace("\n", "\n    ") for one in entries]
        if not texts:
            return document
        between = ",\n    "
        return f"{before}{place[:-1]}\n    {between.join(texts)}\n  ]{after}"
