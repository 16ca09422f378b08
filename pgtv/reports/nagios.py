"""A monitoring plugin's output: one line, `|` and performance data, then long text.

The format is that of the Monitoring Plugins guidelines: the state's word matches the exit code, `|`
occurs once, and each perfdata item reads label=value[unit].
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.examine import State
from pgtv.errors import Exit
from pgtv.finding import Finding, Severity
from pgtv.pasted import pasteable
from pgtv.reports.layout import Layout
from pgtv.shown import one_line, plural, printable

_STATE = {Exit.HEALTHY: "OK", Exit.WARNING: "WARNING", Exit.CRITICAL: "CRITICAL"}
_LINE = 200  # characters before the perfdata: what fits in a pager's message
_LONG = 40  # lines of long text


def render(layout: Layout) -> str:
    """The plugin's whole stdout; ends with a newline."""
    state = _STATE.get(layout.exit, "UNKNOWN")
    first = f"PGTV {state} - {_summary(layout)} | {' '.join(_perfdata(layout))}"
    return "\n".join([first, *_long_text(layout)]) + "\n"


def _summary(layout: Layout) -> str:
    examination = layout.examination
    loud = [f for f in examination.causes if f.severity is not Severity.INFO]
    if not loud:
        tviews = plural(len(examination.snapshot.tviews), "TVIEW")
        return f"{tviews}, {plural(examination.state_count(State.OK), 'check')} ok"
    text = _safe("; ".join(f"{f.check} {f.object}" for f in loud))
    counted = ", ".join(
        f"{examination.count(s)} {s.value}"
        for s in (Severity.CRITICAL, Severity.UNKNOWN, Severity.WARNING)
        if examination.count(s)
    )
    room = _LINE - len(counted) - 2
    return f"{counted}: {text if len(text) <= room else text[: room - 1] + '…'}"


def _perfdata(layout: Layout) -> Iterator[str]:
    examination = layout.examination
    for severity in (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN, Severity.INFO):
        yield f"{severity.value}={examination.count(severity)};;;0"
    yield f"checks={len(examination.outcomes)};;;0"
    yield f"tviews={len(examination.snapshot.tviews)};;;0"
    yield f"time={(examination.snapshot.elapsed_ms + examination.elapsed_ms) / 1000:.3f}s;;;0"


def _long_text(layout: Layout) -> Iterator[str]:
    lines = [
        line for f in layout.examination.causes if f.severity is not Severity.INFO
        for line in _of(f)
    ]  # fmt: skip
    yield from lines[:_LONG]
    if len(lines) > _LONG:
        yield f"… and {len(lines) - _LONG} more lines"


def _of(finding: Finding) -> Iterator[str]:
    yield _safe(f"{finding.severity.upper()} {finding.check} {finding.object}: {finding.detail}")
    for statement in finding.remedy.sql if finding.remedy else ():
        sql = printable(pasteable(statement, also="|"))
        # each line by itself: joined, a comment would swallow what follows it
        yield from ["(its cure holds a `¦`: pgtv doctor)"] if "|" in sql else sql.splitlines()


def _safe(text: str) -> str:
    """On one line and without `|`, which would start the performance data."""
    return one_line(text).replace("|", "¦")
