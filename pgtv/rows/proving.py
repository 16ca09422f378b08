"""Critical TVIEWs first, with how much is proven so far: for a restore in a hurry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import UsageError
from pgtv.graph.select import parse, select
from pgtv.rows.result import Result, State


@dataclass
class Tally:
    """How much is proven so far, told in a line after each TVIEW: those that equal, and their rows.

    count: all TVIEWs. total: rows of all, as the server estimates them; None where it does not know.
    since: when it began, by time.monotonic.
    """

    say: Callable[[str], None]
    count: int
    total: float | None
    since: float
    proven: int = 0
    rows: int = 0

    def add(self, result: Result, *, critical: bool) -> float:
        """Tell of one more; how many seconds it is since it began."""
        if result.state is State.EQUAL:
            self.proven += 1
            self.rows += result.rows or 0
        at = time.monotonic() - self.since
        word = "proven" if result.state is State.EQUAL else str(result.state).upper()
        notes = (" (critical)" if critical else "") + (" (earlier)" if result.resumed else "")
        self.say(
            f"{at:8.1f} s  {word}  {result.tview}{notes}: {self.proven} of {self.count} TVIEWs,"
            f" {self.rows:,} rows{self._share()}"
        )
        return at

    def _share(self) -> str:
        """An estimate may be wrong: all is proven once every TVIEW is, and not before."""
        if self.total is None:
            return ""
        share = min(int(100 * self.rows / max(self.total, 1)), 99)
        return f" ({100 if self.proven == self.count else share} %)"


def split(
    snapshot: Snapshot, critical: Sequence[str], among: Sequence[Tview] | None = None
) -> tuple[list[Tview], list[Tview]]:
    """The TVIEWs that count first, with what they read, and the others; both in dependency order.

    among: those to take apart, in their order; all by default. Raises UsageError for a name that is
    none, or none of these, once the database is there to tell.
    """
    everything = select(snapshot) if among is None else list(among)
    if not critical:
        return [], everything
    named = {t.table_oid for t in select(snapshot, critical)}
    if left_out := named - {t.table_oid for t in everything}:
        labels = ", ".join(t.label for t in snapshot.tviews if t.table_oid in left_out)
        raise UsageError(f"--critical names what is not to be verified: {labels}")
    first = {t.table_oid for t in select(snapshot, [f"+{s.text}" for s in parse(critical)])}
    return (
        [t for t in everything if t.table_oid in first],
        [t for t in everything if t.table_oid not in first],
    )


def check_names(names: Iterable[str]) -> None:
    """Raises UsageError for what is no plain selector, before anything is done."""
    for one in parse(names):
        if (one.up, one.down) != (0, 0):
            raise UsageError(
                f"--critical takes names, not {one.text!r}", "what they read is proven with them"
            )
