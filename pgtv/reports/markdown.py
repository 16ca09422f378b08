"""Findings as Markdown, to be pasted into a ticket or an incident's log."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgtv.finding import Finding, Severity
from pgtv.reports import layout as lay
from pgtv.reports.layout import Layout
from pgtv.shown import one_line, plural, printable


def render(layout: Layout) -> str:
    """The document; ends with a newline."""
    return "\n".join(_document(layout)) + "\n"


def _document(layout: Layout) -> Iterator[str]:
    database = layout.examination.snapshot.server.database
    yield f"# pgtv doctor: {_text(database)} is {lay.status(layout.exit)}"
    yield ""
    yield _text(lay.heading(layout))
    for section in layout.sections:
        yield ""
        yield f"## {section.title}"
        for _, group in section.groups:
            for finding in group:
                if finding.severity is Severity.INFO:
                    yield from _short(finding)
                else:
                    yield ""
                    yield from _finding(layout, finding)
    yield ""
    yield f"{plural(len(layout.examination.outcomes), 'check')}: " + _text(
        " · ".join(lay.counts(layout))
    )


def _short(finding: Finding) -> Iterator[str]:
    yield f"- `{finding.check}` {_code(finding.object)}: {_text(finding.title)}"


def _finding(layout: Layout, finding: Finding) -> Iterator[str]:
    yield f"### {finding.severity.upper()} `{finding.check}` {_code(finding.object)}"
    yield ""
    yield _text(finding.detail)
    facts = [f"- evidence: {_text(lay.evidence_text(row))}" for row in finding.evidence]
    if finding.affects:
        facts.append(f"- affects: {_text(lay.affects_text(layout, finding))}")
    if finding.needs:
        facts.append(f"- needs: {_text(', '.join(finding.needs))}")
    remedy = finding.remedy
    if remedy and remedy.decide:
        facts.append(f"- decide: {_text(remedy.decide)}")
    if remedy and remedy.role:
        facts.append(f"- as: {_text(remedy.role)}")
    if remedy and remedy.locks:
        facts.append(f"- locks: {_text('; '.join(remedy.locks))}")
    if remedy and remedy.note:
        facts.append(f"- note: {_text(remedy.note)}")
    if remedy and remedy.sql and not lay.is_sql(remedy.undo):
        facts.append(f"- undo: {_text(remedy.undo or 'cannot be taken back')}")
    if facts:
        yield ""
        yield from facts
    if remedy and remedy.sql:
        yield from _fenced("\n".join(remedy.sql), "sql")
        if remedy.undo and lay.is_sql(remedy.undo):
            yield ""
            yield "Undo:"
            yield from _fenced(remedy.undo, "sql")
    if remedy and remedy.command:
        yield from _fenced(remedy.command, "sh")
    caused = layout.examination.consequences(finding)
    if caused:
        yield ""
        yield f"Causes {plural(len(caused), 'more finding')}:"
        yield ""
        for other in caused:
            yield f"- {other.severity} `{other.check}` {_code(other.object)}: {_text(other.title)}"


def _fenced(text: str, language: str) -> Iterator[str]:
    """A fence longer than any run of backticks inside it."""
    text = printable(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield ""
    yield f"{fence}{language}"
    yield text
    yield fence


def _code(text: str) -> str:
    text = one_line(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    tick = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{tick}{pad}{text}{pad}{tick}"


def _text(text: str) -> str:
    """Plain text: what Markdown or HTML would interpret is escaped."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", one_line(text))
