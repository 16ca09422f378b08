"""A preflight's verdict, for people and as JSON."""

from __future__ import annotations

import json

from pgtv.finding import Severity
from pgtv.lifecycle.verdict import Point, Verdict
from pgtv.reports.documents import PreflightDocument
from pgtv.shown import printable, wrapped

SCHEMA = "pgtv.preflight/1"
SHOWN = 8  # objects of one point; JSON has them all


def human(verdict: Verdict, width: int) -> str:
    """Commands and SQL are never broken: they are for pasting."""
    lines = [*wrapped(f"{verdict.subject}: {verdict.summary}", width, "", "  "), ""]
    longest = max((len(k) for k in verdict.facts), default=0)
    for name, value in verdict.facts.items():
        lines += wrapped(value, width, f"{name.ljust(longest)}  ", " " * (longest + 2))
    for point in sorted(verdict.points, key=lambda p: -p.severity.rank):
        lines += ["", *point_lines(point, width)]
    if verdict.commands:
        lines += ["", "Run:", *(f"  {c}" for c in verdict.commands)]
    return printable("\n".join(lines)) + "\n"


def point_lines(point: Point, width: int) -> list[str]:
    word = "note" if point.severity is Severity.INFO else point.severity.value.upper()
    lines = [f"{word}  {point.id}", *wrapped(point.text, width, "  ", "  ")]
    if point.objects:
        more = len(point.objects) - SHOWN
        names = ", ".join(point.objects[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        lines += wrapped(names, width, "  which     ", " " * 12)
    lead = "  cure      "
    for cure in point.cure:
        for line in cure.splitlines():
            lines.append(lead + line)
            lead = " " * 12
    return lines


def document(verdict: Verdict) -> str:
    """JSON, schema pgtv.preflight/1; new fields may be added."""
    body: PreflightDocument = {
        "schema": SCHEMA,
        "exit": int(verdict.exit),
        "ok": verdict.exit == 0,
        "subject": verdict.subject,
        "summary": verdict.summary,
        "points": [
            {
                "id": p.id,
                "severity": p.severity.value,
                "text": p.text,
                "objects": list(p.objects),
                "cure": list(p.cure),
                "state": p.state,
            }
            for p in verdict.points
        ],
        "facts": dict(verdict.facts),
        "commands": list(verdict.commands),
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"
