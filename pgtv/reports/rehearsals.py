"""A rehearsal, for people, as HTML and as JSON (schema pgtv.rehearsal/1)."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, replace

from pgtv.lifecycle.upgrade.rehearsal import Rehearsal
from pgtv.lifecycle.verdict import Point, Verdict
from pgtv.reports import preflight
from pgtv.reports.pages import environment
from pgtv.shown import printable


def human(rehearsal: Rehearsal, width: int) -> str:
    """The verdict first, then phases with what they took. Commands are never broken."""
    facts = {**rehearsal.facts, "rehearsed": rehearsal.at}
    head = preflight.human(Verdict(rehearsal.subject, rehearsal.summary, (), facts), width)
    lines = [line for p in rehearsal.points for line in ("", *_point(p, width))]
    return head + printable("\n".join([*lines, "", *_phases(rehearsal)])) + "\n"


def _point(point: Point, width: int) -> Iterator[str]:
    """As preflight has it, but what it names is long: a line each."""
    yield from preflight.point_lines(replace(point, objects=(), cure=()), width)
    for name in point.objects[: preflight.SHOWN]:
        yield from textwrap.wrap(
            name, width, initial_indent="  - ", subsequent_indent="    ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    if (more := len(point.objects) - preflight.SHOWN) > 0:
        yield f"    and {more} more"
    yield from (f"  $ {line}" for cure in point.cure for line in cure.splitlines())


def _phases(rehearsal: Rehearsal) -> Iterator[str]:
    longest = max((len(p.name) for p in rehearsal.phases), default=0)
    for phase in rehearsal.phases:
        yield f"{phase.name.ljust(longest)}  {phase.seconds:8.1f} s{'' if phase.ok else '  FAILED'}"
        yield from (f"  $ {c}" for c in phase.commands)
    yield f"{'all'.ljust(longest)}  {rehearsal.elapsed:8.1f} s"


def document(rehearsal: Rehearsal) -> str:
    """JSON; new fields may be added."""
    body = {**asdict(rehearsal), "exit": int(rehearsal.exit), "ok": rehearsal.exit == 0}
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def html(rehearsal: Rehearsal) -> str:
    """One page that needs nothing else: no script, no font, no network."""
    return environment().get_template("rehearsal.html.j2").render(r=rehearsal)
