"""A checklist for people: each point with its state, what is left to do with its commands."""

from __future__ import annotations

import textwrap

from pgtv.lifecycle.verdict import Point, Verdict
from pgtv.reports.preflight import SHOWN
from pgtv.shown import printable

_WORD = {"done": "done", "to do": "TO DO", "not applicable": "n/a", "unknown": "UNKNOWN"}
_INDENT = " " * 9


def human(verdict: Verdict, width: int) -> str:
    """Points in the order in which they are to be done. Commands are never broken."""
    lines = textwrap.wrap(f"{verdict.subject}: {verdict.summary}", width)
    lines += textwrap.wrap(" \u00b7 ".join(verdict.facts.values()), width)
    lines.append("")
    for point in verdict.points:
        lines += _point(point, width)
    if verdict.commands:
        lines += ["", "In this order:", *(f"  {c}" for c in verdict.commands)]
    return printable("\n".join(lines)) + "\n"


def _point(point: Point, width: int) -> list[str]:
    lead = f"{_WORD[point.state or 'unknown']:<9}"
    lines = textwrap.wrap(
        f"{point.id}: {point.text}", width, initial_indent=lead, subsequent_indent=_INDENT,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    if point.state in ("to do", "unknown"):
        more = len(point.objects) - SHOWN
        for name in point.objects[:SHOWN]:
            lines += textwrap.wrap(
                name, width, initial_indent=_INDENT + "- ", subsequent_indent=_INDENT + "  ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        lines += [f"{_INDENT}  and {more} more"] if more > 0 else []
        lines += [f"{_INDENT}$ {line}" for cure in point.cure for line in cure.splitlines()]
    return lines
