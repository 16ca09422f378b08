"""How far a verification is, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import width

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot, Tview
    from pgtv.rows.compare import Wanted
    from pgtv.rows.result import Result
    from pgtv.rows.run import Moment


class Progress:
    """On a terminal one line that is rewritten, elsewhere a line a TVIEW; on stderr."""

    def __init__(
        self,
        snapshot: Snapshot,
        tviews: list[Tview],
        verbosity: int,
        wanted: Wanted | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """wanted: of a sample only so many rows are expected."""
        # rows still to be compared, by TVIEW that has not finished; None where nobody knows
        self.open = {t.label: _expected(_estimate(snapshot, t), wanted) for t in tviews}
        self.count = len(tviews)
        self.running: dict[str, int] = {}
        self.rows = 0
        self.done = 0
        self.clock = clock
        self.started = clock()
        self.shown = self.started
        self.terminal = sys.stderr.isatty() and verbosity >= 0
        self.lines = not sys.stderr.isatty() and verbosity > 0

    def moment(self, moment: Moment) -> None:
        self.running[moment.tview] = moment.done
        now = self.clock()
        if self.terminal and now - self.shown > 0.1:
            self.shown = now
            self._show(moment.tview)

    def finished(self, result: Result) -> None:
        self.running.pop(result.tview, None)
        self.open.pop(result.tview, None)
        self.rows += 0 if result.resumed else result.rows or 0
        self.done += 1
        if self.lines:
            rows = (
                "" if result.rows is None else f", {result.rows:,} rows in {result.seconds:.1f} s"
            )
            text = f"{self.done}/{self.count} {result.tview}: {result.state}{rows}{self._left()}"
            click.echo(text, err=True)

    def _show(self, tview: str) -> None:
        text = f"{self.done + 1}/{self.count} {tview}{self._left()}"
        click.echo("\r\x1b[K" + text[: width() - 1], nl=False, err=True)

    def _left(self) -> str:
        """Rows a second so far, and the time left at that pace."""
        rows = self.rows + sum(self.running.values())
        seconds = self.clock() - self.started
        if not rows or seconds < 0.5:
            return ""
        rate = rows / seconds
        pace = f" · {rate:,.0f} rows/s"
        if not self.open:
            return pace
        left = 0
        for tview, expected in self.open.items():
            if expected is None:
                return f"{pace} · time left unknown: {tview} was never analyzed"
            left += max(expected - self.running.get(tview, 0), 0)
        return f"{pace} · about {_span(left / rate)} left"

    def close(self) -> None:
        if self.terminal:
            click.echo("\r\x1b[K", nl=False, err=True)


class Proving(Progress):
    """Instead of these lines one after each TVIEW, on a terminal too: how much is proven so far."""

    def __init__(
        self,
        snapshot: Snapshot,
        tviews: list[Tview],
        verbosity: int,
        wanted: Wanted | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        critical: Collection[int],
    ) -> None:
        """critical: their OIDs. Nothing is told where `verbosity` is below 0."""
        super().__init__(snapshot, tviews, verbosity, wanted, clock)
        from pgtv.rows.proving import Tally

        self.lines, self.quiet, self.critical = False, verbosity < 0, critical
        known = [e for t in tviews if (e := _estimate(snapshot, t)) is not None]
        total = float(sum(known)) if len(known) == len(tviews) else None
        self.tally = Tally(self._say, len(tviews), total, self.started)

    def finished(self, result: Result) -> None:
        super().finished(result)
        self.tally.add(result, critical=result.table_oid in self.critical)

    def _say(self, line: str) -> None:
        self.close()
        if not self.quiet:
            click.echo(line, err=True)


def _estimate(snapshot: Snapshot, tview: Tview) -> int | None:
    """About how many rows: the planner's estimate, else the live rows that statistics counted."""
    relation, stats = snapshot.by_oid.get(tview.table_oid), snapshot.stats_of.get(tview.table_oid)
    if relation is not None and relation.reltuples >= 0:
        return int(relation.reltuples)
    return stats.live if stats and stats.live else None


def _expected(rows: int | None, wanted: Wanted | None) -> int | None:
    if rows is None or wanted is None or wanted.sample is None:
        return rows
    share, _ = wanted.for_estimate(rows).sample or (0, 0)
    return round(rows * share / 1_000_000)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
