"""Findings for a person at a terminal: the cause first, its proof, whom it hits, what cures it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import click

from pgtv.checks.examine import Examination, State
from pgtv.finding import Finding, Severity
from pgtv.pasted import indented
from pgtv.reports import layout as lay
from pgtv.reports.layout import Layout
from pgtv.shown import one_line, plural, printable

COLOR = {
    Severity.CRITICAL: "red",
    Severity.WARNING: "yellow",
    Severity.UNKNOWN: "magenta",
    Severity.INFO: "blue",
}
_LABEL = 10  # width of the label column
_EVIDENCE = 4  # rows of evidence that are shown without -v
_CONSEQUENCES = 6


@dataclass(frozen=True)
class Style:
    """How wide, how coloured, how much: verbosity -1 for -q, 0, 1 for -v; all unfolds groups."""

    width: int = 100
    color: bool = False
    verbosity: int = 0
    all: bool = False

    def paint(self, text: str, **style: object) -> str:
        return click.style(text, **style) if self.color else text  # type: ignore[arg-type]


def render(
    examination: Examination | Layout,
    width: int = 100,
    color: bool = False,
    verbosity: int = 0,
    all: bool = False,
) -> str:
    """The whole report; ends with a newline unless it is empty (-q and nothing found)."""
    layout = examination if isinstance(examination, Layout) else lay.layout(examination)
    style = Style(width, color, verbosity, all)
    lines = _quiet(layout, style) if verbosity < 0 else _report(layout, style)
    return "".join(f"{line}\n" for line in lines)


def _quiet(layout: Layout, style: Style) -> Iterator[str]:
    """One line a finding, made for grep; info left out."""
    for finding in layout.examination.findings:
        if finding.severity is not Severity.INFO:
            label = style.paint(f"{finding.severity.upper():9}", fg=COLOR[finding.severity])
            text = finding.detail if finding.severity is Severity.UNKNOWN else finding.title
            yield one_line(f"{label} {finding.check} {finding.object}: {text}")


def _report(layout: Layout, style: Style) -> Iterator[str]:
    yield from _heading(one_line(lay.heading(layout)), style.width)
    for section in layout.sections:
        yield ""
        yield style.paint(section.title.upper(), bold=True)
        for check, group in section.groups:
            if group[0].severity is Severity.INFO and style.verbosity < 1:
                yield from _info(check, group, style)
            else:
                yield from _group(layout, check, group, style)
        if section.unseen and (statement := lay.grant(layout)):
            yield ""
            yield f"  {'to see':{_LABEL}}{style.paint(printable(statement), fg='green')}"
    yield ""
    yield from _foot(layout, style)


def _heading(text: str, width: int) -> Iterator[str]:
    """Broken between its parts only."""
    line = ""
    for part in text.split(" · "):
        longer = f"{line} · {part}" if line else part
        if line and len(longer) > width:
            yield line
            longer = f"  {part}"
        line = longer
    yield line


def _group(layout: Layout, check: str, group: tuple[Finding, ...], style: Style) -> Iterator[str]:
    """Findings of one check: the first ones whole, then a line each, then a number."""
    # one more than the limit is shown rather than folded: the fold would be as long
    full = group if style.all or len(group) <= lay.FULL + 1 else group[: lay.FULL]
    for finding in full:
        yield ""
        yield from _finding(layout, finding, style)
    rest = group[len(full) :]
    if not rest:
        return
    yield ""
    yield style.paint(f"{rest[0].severity.upper():9} {check}", fg=COLOR[rest[0].severity]) + (
        f"   {len(rest)} more of the same kind"
    )
    short = rest if style.all else rest[: lay.SHORT]
    for finding in short:
        yield _cut(f"  {one_line(finding.object)}   {one_line(finding.title)}", style.width)
    if len(rest) > len(short):
        yield f"  … and {len(rest) - len(short)} more"
    on = f" {layout.connection}" if layout.connection else ""
    yield f"  {'whole':{_LABEL}}pgtv doctor{on} --only {check} --all"


def _info(check: str, group: tuple[Finding, ...], style: Style) -> Iterator[str]:
    first = group[0]
    if len(group) == 1:
        text = first.title if first.object.startswith("(") else f"{first.object}: {first.title}"
    else:
        names = ", ".join(f.object for f in group[:3])
        more = f" and {len(group) - 3} more" if len(group) > 3 else ""
        same = len({f.title for f in group}) == 1
        text = f"{len(group)} × {first.title + ': ' if same else ''}{names}{more}"
    yield _cut(f"  {check:24}  {one_line(text)}", style.width)


def _finding(layout: Layout, finding: Finding, style: Style) -> Iterator[str]:
    head = style.paint(
        f"{finding.severity.upper():9} {finding.check}", fg=COLOR[finding.severity], bold=True
    )
    yield f"{head}   {one_line(finding.object)}"
    yield from _wrapped(one_line(finding.detail), "  ", style.width)
    evidence = finding.evidence if style.verbosity > 0 else finding.evidence[:_EVIDENCE]
    for i, row in enumerate(evidence):
        yield from _labelled("evidence" if i == 0 else "", lay.evidence_text(row), style)
    if len(finding.evidence) > len(evidence):
        yield from _labelled("", f"and {len(finding.evidence) - len(evidence)} more (-v)", style)
    if finding.affects:
        limit = len(finding.affects) if style.verbosity > 0 else 8
        yield from _labelled("affects", lay.affects_text(layout, finding, limit), style)
    if finding.needs:
        yield from _labelled("needs", ", ".join(finding.needs), style)
    yield from _remedy(finding, style)
    yield from _consequences(layout, finding, style)


def _remedy(finding: Finding, style: Style) -> Iterator[str]:
    remedy = finding.remedy
    if remedy is None:
        return
    if remedy.decide:
        yield from _labelled("decide", remedy.decide, style)
    label = "cure"
    for statement in remedy.sql:
        yield from _statement(label, statement, style)
        label = ""
    if remedy.command:
        yield f"  {'or' if remedy.sql else 'try':{_LABEL}}{printable(remedy.command)}"
    if remedy.role:
        yield from _labelled("as", remedy.role, style)
    if remedy.locks:
        yield from _labelled("locks", "; ".join(remedy.locks), style)
    if remedy.note:
        yield from _labelled("note", remedy.note, style)
    if remedy.sql and lay.is_sql(remedy.undo):
        yield from _statement("undo", remedy.undo or "", style, color=None)
    elif remedy.sql:
        yield from _labelled("undo", remedy.undo or "cannot be taken back", style)


def _statement(
    label: str, statement: str, style: Style, color: str | None = "green"
) -> Iterator[str]:
    """As it stands: never wrapped, for it is there to be pasted, and literals keep their lines."""
    indent = " " * (_LABEL + 2)
    for i, line in enumerate(indented(printable(statement), indent)):
        kept = len(line) - len(line.removeprefix(indent))
        shown = style.paint(line[kept:], fg=color) if color else line[kept:]
        yield (line[:kept] if i else f"  {label:{_LABEL}}") + shown


def _consequences(layout: Layout, finding: Finding, style: Style) -> Iterator[str]:
    caused = layout.examination.consequences(finding)
    if not caused:
        return
    yield from _labelled(
        "causes", f"{plural(len(caused), 'more finding')}, which should go with it:", style
    )
    shown = caused if style.all or style.verbosity > 0 else caused[:_CONSEQUENCES]
    for other in shown:
        text = one_line(f"{other.object}: {other.title}")
        yield _cut(f"  {'':{_LABEL}}{other.severity}  {other.check}  {text}", style.width)
    if len(caused) > len(shown):
        yield f"  {'':{_LABEL}}… and {len(caused) - len(shown)} more (--all)"


def _foot(layout: Layout, style: Style) -> Iterator[str]:
    examination = layout.examination
    if style.verbosity > 0:
        for outcome in examination.outcomes:
            reason = f": {one_line(outcome.reason)}" if outcome.reason else ""
            state = f"{outcome.state.value}{reason}"
            yield _cut(
                f"  {outcome.check.id:32} {outcome.elapsed_ms:7.2f} ms  {state}", style.width
            )
        yield ""
    if not examination.findings and examination.state_count(State.UNKNOWN) == 0:
        yield style.paint("Nothing found.", fg="green")
    counted = f"{plural(len(examination.outcomes), 'check')}: {' · '.join(lay.counts(layout))}"
    yield from _wrapped(counted, "", style.width, "  ")
    steps = lay.next_steps(layout)
    column = max((len(command) for command, _ in steps), default=0)
    fit = max((len(purpose) for _, purpose in steps), default=0) + column + 9 <= style.width
    for i, (command, purpose) in enumerate(steps):
        line = f"{'Next:' if i == 0 else '':5} {command}"
        if fit:
            yield f"{line:{column + 6}}   {purpose}"
        else:  # a command is never broken: it is there to be copied
            yield line
            yield from _wrapped(purpose, " " * 8, style.width)


def _labelled(label: str, text: str, style: Style) -> Iterator[str]:
    yield from _wrapped(one_line(text), f"  {label:{_LABEL}}", style.width, " " * (_LABEL + 2))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrapped(text: str, first: str, width: int, rest: str | None = None) -> Iterator[str]:
    yield from textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=first if rest is None else rest,
        break_long_words=False, break_on_hyphens=False,
    ) or [first]  # fmt: skip
