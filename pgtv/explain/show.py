"""Explanations as text for people and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator

from pgtv.explain.texts import Explanation
from pgtv.shown import one_line

SCHEMA = "pgtv.explain/1"


def as_text(explanations: Iterable[Explanation], width: int) -> str:
    """For a terminal; ends with a newline."""
    return "\n".join("\n".join(_one(e, width)) for e in explanations) + "\n"


def _one(explanation: Explanation, width: int) -> Iterator[str]:
    head = explanation.title
    if explanation.kind in ("check", "sqlstate"):
        head = f"{explanation.name}: {head}"
    elif explanation.sqlstate:
        head = f"{head} (SQLSTATE {explanation.sqlstate})"
    yield from textwrap.wrap(one_line(head), width)
    yield from _paragraphs(explanation.means, width)
    for label, text in explanation.details.items():
        yield ""
        yield label
        yield from _paragraphs(text, width)
    if explanation.type:
        yield ""
        yield "Type next"
        for line in explanation.type:
            yield f"  {line}"
    if explanation.checks:
        yield ""
        yield f"Checks     {', '.join(explanation.checks)}"
    yield ""


def _paragraphs(text: str, width: int) -> Iterator[str]:
    """Wrapped, but lines that a docstring indents (examples) stay as they are."""
    for block in text.split("\n\n"):
        if any(line.startswith("  ") for line in block.splitlines()):
            yield from (f"  {line}" for line in block.splitlines())
        else:
            yield from textwrap.wrap(
                " ".join(block.split()), width, initial_indent="  ", subsequent_indent="  ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip


def as_json(explanations: Iterable[Explanation]) -> str:
    """One JSON document with a newline at its end."""
    found = [
        {
            "kind": e.kind, "name": e.name, "title": e.title, "means": e.means,
            "type": list(e.type), "sqlstate": e.sqlstate, "checks": list(e.checks),
            "details": dict(e.details),
        }
        for e in explanations
    ]  # fmt: skip
    document = {"schema": SCHEMA, "explanations": found}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
