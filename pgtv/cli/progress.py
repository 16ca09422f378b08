"""How far a verification is, on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import width

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot, Tview
    from pgtv.rows.result import Result
    from pgtv.rows.run import Moment


class Progress:
    """On a terminal one line that is rewritten, elsewhere a line a TVIEW; on stderr."""

    def __init__(self, snapshot: Snapshot, tviews: list[Tview], verbosity: int) -> None:
        estimates = {t.table_oid: _estimate(snapshot, t) for t in tviews}
        self.total = sum(estimates.values())
        self.estimates = {t.label: estimates[t.table_oid] for t in tviews}
        self.count = len(tviews)
        self.running: dict[str, int] = {}
        self.done_rows = 0
        self.done = 0
        self.started = time.monotonic()
        self.shown = 0.0
        self.terminal = sys.stderr.isatty() and verbosity >= 0
        self.lines = not sys.stderr.isatty() and verbosity > 0

    def moment(self, moment: Moment) -> None:
        self.running[moment.tview] = min(moment.done, self.estimates.get(moment.tview, 0))
        now = time.monotonic()
        if self.terminal and now - self.shown > 0.1:
            self.shown = now
            self._show(moment.tview)

    def finished(self, result: Result) -> None:
        self.running.pop(result.tview, None)
        self.done_rows += self.estimates.get(result.tview, 0)
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
        rows = self.done_rows + sum(self.running.values())
        seconds = time.monotonic() - self.started
        if not rows or seconds < 0.5:
            return ""
        rate = rows / seconds
        left = max(self.total - rows, 0) / rate
        return f" · {rate:,.0f} rows/s · about {_span(left)} left"

    def close(self) -> None:
        if self.terminal:
            click.echo("\r\x1b[K", nl=False, err=True)


def _estimate(snapshot: Snapshot, tview: Tview) -> int:
    relation = snapshot.by_oid.get(tview.table_oid)
    return max(int(relation.reltuples), 0) if relation else 0


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
