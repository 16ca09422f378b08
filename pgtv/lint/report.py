"""Problems for people, for programs, and for annotations on a pull request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import click

from pgtv.lint.rules import Level, Problem

SCHEMA = "pgtv.lint/1"


def human(problems: Sequence[Problem], files: int, definitions: int, color: bool = False) -> str:
    """One line a problem: file:line:column: level rule-id: message; the hint below it."""
    lines = []
    for p in problems:
        level = p.rule.level.value
        if color:
            level = click.style(
                level, fg="red" if p.rule.level is Level.ERROR else "yellow", bold=True
            )
        lines.append(f"{p.file}:{p.line}:{p.column}: {level} {p.rule.id}: {p.message}")
        if p.hint:
            lines.append(f"    {p.hint}")
    if lines:
        lines.append("")
    lines.append(summary(problems, files, definitions))
    return "\n".join(lines) + "\n"


def summary(problems: Sequence[Problem], files: int, definitions: int) -> str:
    """`3 files, 12 definitions: 1 error, 2 warnings`."""
    counts = Counter(p.rule.level for p in problems)
    found = ", ".join(_many(counts[level], level.value) for level in Level if counts[level])
    return f"{_many(files, 'file')}, {_many(definitions, 'definition')}: {found or 'no problems'}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def as_json(problems: Sequence[Problem], files: int, definitions: int) -> str:
    document = {
        "schema": SCHEMA,
        "files": files,
        "definitions": definitions,
        "problems": [
            {
                "file": p.file,
                "line": p.line,
                "column": p.column,
                "rule": p.rule.id,
                "level": p.rule.level.value,
                "message": p.message,
                "hint": p.hint or None,
            }
            for p in problems
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def github(problems: Sequence[Problem]) -> str:
    """Workflow commands, which GitHub shows as annotations beside the lines."""
    return "".join(
        f"::{p.rule.level.value} file={_property(p.file)},line={p.line},col={p.column},"
        f"title={_property('pgtv ' + p.rule.id)}::"
        + _data(p.message + (f" ({p.hint})" if p.hint else ""))
        + "\n"
        for p in problems
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
