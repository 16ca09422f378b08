"""A rehearsal, for people and as JSON (schema pgtv.rehearsal/1)."""

from __future__ import annotations

import json
from dataclasses import asdict

from pgtv.lifecycle.rehearsal import Rehearsal
from pgtv.lifecycle.verdict import Verdict
from pgtv.reports import preflight
from pgtv.reports.layout import printable


def human(rehearsal: Rehearsal, width: int) -> str:
    """Phases with what they took, then the verdict's points as preflight has them."""
    longest = max((len(p.name) for p in rehearsal.phases), default=0)
    lines = []
    for phase in rehearsal.phases:
        word = "" if phase.ok else "  FAILED"
        lines.append(f"{phase.name.ljust(longest)}  {phase.seconds:9.1f} s{word}")
        lines += [f"{'':{longest}}    $ {c}" for c in phase.commands]
    verdict = Verdict(rehearsal.subject, rehearsal.summary, rehearsal.points, rehearsal.facts)
    return printable("\n".join(lines)) + "\n\n" + preflight.human(verdict, width)


def document(rehearsal: Rehearsal) -> str:
    """JSON; new fields may be added."""
    body = {**asdict(rehearsal), "exit": int(rehearsal.exit), "ok": rehearsal.exit == 0}
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"
