"""The table of `pgtv status`: a line a TVIEW, the worst first, and why below it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from pgtv.finding import Finding, Severity
from pgtv.reports.snapshots import headline
from pgtv.reports.status import STATES, Line, Status

_COLOR = {"broken": "red", "stale": "red", "unknown": "magenta", "risk": "yellow", "ok": "green"}
_HEAD = ("TVIEW", "STATE", "ROWS", "SIZE", "VERIFIED", "TRIG", "WAITS", "NOTES")
_RIGHT = {"ROWS", "SIZE", "WAITS"}
_NAME = 16  # the least width of a name that is cut
SHOWN = 8  # causes below the table; doctor shows them all


def render(found: Status, width: int | None = 100, color: bool = False) -> str:
    """The whole table; `width` None cuts nothing, for pipes."""
    snapshot = found.examination.snapshot
    lines = [headline(snapshot), ""]
    if found.unseen:
        needs = f"; needs {', '.join(found.unseen.needs)}" if found.unseen.needs else ""
        text = f"The TVIEWs could not be seen: {found.unseen.reason}{needs}"
        lines += [*_wrap(text, width), ""]
    if found.lines:
        lines += [*_table(found, width, color), ""]
    elif snapshot.extension.leftovers and not snapshot.extension.installed:
        names = ", ".join(snapshot.extension.leftovers)
        lines += [*_wrap(f"Tables named like TVIEWs, which nothing updates: {names}", width), ""]
    elif not found.unseen:
        lines += ["No TVIEW is registered.", ""]
    causes = _causes(found)
    for finding in causes[:SHOWN]:
        lines += _wrap(f"{finding.severity.value} {finding.check}: {finding.detail}", width)
    if len(causes) > SHOWN:
        lines.append(f"and {len(causes) - SHOWN} more")
    if found.lines:
        tally = ", ".join(
            f"{n} {state}" for state in STATES if (n := sum(x.state == state for x in found.lines))
        )
        lines.append(f"{len(found.lines)} TVIEWs: {tally}")
    if causes:
        lines.append("Evidence and cures: pgtv doctor")
    return "\n".join(lines) + "\n"


def _causes(found: Status) -> list[Finding]:
    """What explains the lines, worst first, consequences left out."""
    shown = {f.id: f for f in (*found.others, *(f for x in found.lines for f in x.findings))}
    said = found.unseen.reason if found.unseen else None  # once is enough
    return [
        f
        for f in found.examination.findings
        if f.id in shown
        and f.severity is not Severity.INFO
        and not (said and f.severity is Severity.UNKNOWN and said in f.detail)
        and (f.caused_by is None or f.caused_by not in shown)
    ]


def _table(found: Status, width: int | None, color: bool) -> Iterator[str]:
    rows = [_HEAD, *(_cells(line) for line in found.lines)]
    if not any(line.waits for line in found.lines):
        rows = [(*r[:-2], r[-1]) for r in rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]) - 1)]
    if width is not None:
        notes = min(12, max(len(r[-1]) for r in rows))
        rest = sum(widths[1:]) + 2 * len(widths) + notes
        widths[0] = max(_NAME, min(widths[0], width - rest))
    right = {i for i, head in enumerate(rows[0]) if head in _RIGHT}
    yield _row(rows[0], widths, right, width)
    for line, cells in zip(found.lines, rows[1:], strict=True):
        text = _row(cells, widths, right, width)
        if color and line.state != "ok":
            text = click.style(text, fg=_COLOR[line.state])
        yield text


def _row(cells: tuple[str, ...], widths: list[int], right: set[int], width: int | None) -> str:
    parts = [
        c.rjust(w) if i in right else (_middle(c, w) if i == 0 else c).ljust(w)
        for i, (c, w) in enumerate(zip(cells, widths, strict=False))
    ]
    text = "  ".join([*parts, cells[-1]]).rstrip()
    return text if width is None else _cut(text, width)


def _cells(line: Line) -> tuple[str, ...]:
    expected = "?" if line.expected is None else str(line.expected)
    notes = [*line.flags]
    if line.disabled:
        notes.insert(0, f"{line.disabled} disabled")
    if line.differing:
        notes.insert(0, f"{line.differing:,} differ")
    checks = dict.fromkeys(f.check for f in line.findings if f.severity is not Severity.INFO)
    return (
        line.tview.label,
        line.state,
        _count(line.rows),
        _size(line.bytes),
        _age(line.verified_age),
        f"{line.triggers}/{expected}",
        str(line.waits) if line.waits else "-",
        ", ".join([*notes, *checks]),
    )


def _middle(text: str, width: int) -> str:
    """Cut out of the middle: names of one schema differ at their end."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _count(n: int | None) -> str:
    if n is None:
        return "?"
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**4)):
        if n >= size:
            scaled = n / (1000 if unit == "k" else size)
            return f"{scaled:.1f}{unit}" if scaled < 100 else f"{scaled:.0f}{unit}"
    return str(n)


def _size(n: int | None) -> str:
    if n is None:
        return "?"
    value = float(n)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"


def _wrap(text: str, width: int | None) -> list[str]:
    if width is None:
        return [text]
    return textwrap.wrap(
        text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
