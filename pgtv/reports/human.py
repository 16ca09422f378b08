"""Findings for a person at a terminal: the cause first, its proof, whom it hits, what cures it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from pgtv.checks.examine import Examination, State
from pgtv.finding import Finding, Severity

_COLOR = {
    Severity.CRITICAL: "red",
    Severity.WARNING: "yellow",
    Severity.UNKNOWN: "magenta",
    Severity.INFO: "blue",
}
_LABEL = 10  # width of the label column


def render(examination: Examination, width: int = 100, color: bool = False) -> str:
    """The whole report; ends with a newline."""
    lines = [*_head(examination), ""]
    for finding in examination.causes:
        lines += [*_finding(examination, finding, width, color), ""]
    lines += _foot(examination, width)
    return "\n".join(lines) + "\n"


def _head(examination: Examination) -> Iterator[str]:
    snapshot = examination.snapshot
    server, extension = snapshot.server, snapshot.extension
    installed = (
        f"pg_tviews {extension.version or extension.generation}"
        + (f", catalog {extension.catalog_revision}" if extension.catalog_revision else "")
        if extension.installed
        else "pg_tviews is not installed"
    ).replace("pg_tviews", "extension")
    seconds = (snapshot.elapsed_ms + examination.elapsed_ms) / 1000
    yield (
        f"{server.database} on {server.host}:{server.port} · PostgreSQL {server.version} · "
        f"{installed} · {len(snapshot.tviews)} TVIEWs · {seconds:.1f} s"
    )


def _finding(examination: Examination, finding: Finding, width: int, color: bool) -> Iterator[str]:
    head = f"{finding.severity.upper():9} {finding.check}   {finding.object}"
    yield click.style(head, fg=_COLOR[finding.severity], bold=True) if color else head
    yield from _wrapped(finding.detail, "  ", width)
    yield from _labelled("effect", finding.effect.value, width)
    for i, row in enumerate(finding.evidence[:5]):
        text = ", ".join(f"{k} {v}" for k, v in row.items())
        yield from _labelled("evidence" if i == 0 else "", text, width)
    if len(finding.evidence) > 5:
        yield from _labelled("", f"and {len(finding.evidence) - 5} more", width)
    if finding.affects:
        yield from _labelled("affects", ", ".join(finding.affects), width)
    if finding.needs:
        yield from _labelled("needs", ", ".join(finding.needs), width)
    if finding.remedy:
        remedy = finding.remedy
        for i, statement in enumerate(remedy.sql):
            for j, line in enumerate(statement.splitlines()):
                # statements are never wrapped: they are there to be pasted
                yield f"  {'cure' if i == j == 0 else '':{_LABEL}}{line}"
        if remedy.role:
            yield from _labelled("as", remedy.role, width)
        if remedy.locks:
            yield from _labelled("locks", "; ".join(remedy.locks), width)
        if remedy.note:
            yield from _labelled("note", remedy.note, width)
        if remedy.command:
            yield f"  {'or':{_LABEL}}{remedy.command}"
    caused = examination.consequences(finding)
    if caused:
        names = ", ".join(f"{f.check} ({f.object})" for f in caused[:4])
        more = f" and {len(caused) - 4} more" if len(caused) > 4 else ""
        yield from _labelled("caused", names + more, width)


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    yield from _wrapped(text, f"  {label:{_LABEL}}", width, " " * (_LABEL + 2))


def _wrapped(text: str, first: str, width: int, rest: str | None = None) -> Iterator[str]:
    yield from textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=first if rest is None else rest,
        break_long_words=False, break_on_hyphens=False,
    ) or [first]  # fmt: skip


def _foot(examination: Examination, width: int) -> Iterator[str]:
    parts = [f"{examination.state_count(State.OK)} ok"]
    for severity in (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN, Severity.INFO):
        if n := examination.count(severity):
            parts.append(f"{n} {severity.value}")
    if n := examination.state_count(State.NOT_APPLICABLE):
        parts.append(f"{n} not applicable")
    if examination.silenced:
        parts.append(f"{len(examination.silenced)} in the baseline")
    yield from _wrapped(f"{len(examination.outcomes)} checks: " + " · ".join(parts), "", width)
