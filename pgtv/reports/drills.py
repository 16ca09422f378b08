"""Reports of drills: a matrix for people, JUnit XML for build servers, HTML for the file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pgtv.drills.model import PHASES, Outcome, Report, State
from pgtv.reports.pages import environment
from pgtv.shown import plural, printable


def line(outcome: Outcome, width: int = 100) -> str:
    """One drill as it ends."""
    word = {State.PASSED: "passed ", State.FAILED: "FAILED ", State.SKIPPED: "SKIPPED"}[
        outcome.state
    ]
    text = f"{word}  {outcome.name}  {outcome.total:.1f} s"
    return "\n".join([text, *_why(outcome, width)])


def _why(outcome: Outcome, width: int) -> list[str]:
    if not outcome.why:
        return []
    return textwrap.wrap(printable(outcome.why), max(40, width - 9), initial_indent=" " * 9,
                         subsequent_indent=" " * 9)  # fmt: skip


def text(report: Report, width: int = 100) -> str:
    """The matrix: one line a drill, then what it all comes to."""
    name = max([len(o.name) for o in report.outcomes], default=5)
    several = len({_where(o) for o in report.outcomes if o.major}) > 1
    where = max([len(_where(o)) for o in report.outcomes], default=0) if several else 0
    on = f"{'on':{where}}  " if several else ""
    lines = [f"{'drill':{name}}  {on}seen  cured  verified  lost  seconds"]
    for o in report.outcomes:
        place = f"{_where(o):{where}}  " if several else ""
        if o.state is State.SKIPPED:
            lines += [f"{o.name:{name}}  {place}SKIPPED", *_why(o, width)]
            continue
        lost = "-" if o.rows_lost is None else str(o.rows_lost)
        lines.append(
            f"{o.name:{name}}  {place}{_yes(o.detected):4}  {_yes(o.recovered):5}"
            f"  {_yes(o.verified):8}  {lost:>4}  {o.total:7.1f}"
        )
        if o.state is State.FAILED:
            lines += _why(o, width)
        if o.kept:
            lines.append(f"         kept: {o.kept}")
    return "\n".join([*lines, "", summary(report)]) + "\n"


def summary(report: Report) -> str:
    """How many of which state, in one line."""
    counts = [f"{report.count(s)} {s.value}" for s in State if report.count(s)]
    return " · ".join([plural(len(report.outcomes), "drill"), *counts])


def _where(o: Outcome) -> str:
    return f"{o.provider} {o.major}" if o.major else o.provider


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def junit(report: Report) -> str:
    """A test suite for each mode, a test case for each variant."""
    from xml.etree import ElementTree as tree

    root = tree.Element("testsuites", name="pgtv drill")
    for mode in dict.fromkeys(o.mode for o in report.outcomes):
        of_mode = [o for o in report.outcomes if o.mode == mode]
        suite = tree.SubElement(
            root, "testsuite", name=mode, tests=str(len(of_mode)), timestamp=report.at[:19],
            failures=str(sum(o.state is State.FAILED for o in of_mode)),
            skipped=str(sum(o.state is State.SKIPPED for o in of_mode)), errors="0",
            time=f"{sum(o.total for o in of_mode):.3f}",
        )  # fmt: skip
        for o in of_mode:
            case = tree.SubElement(
                suite, "testcase", name=f"{o.variant} ({_where(o)})", classname=f"pgtv.drill.{mode}",
                time=f"{o.total:.3f}",
            )  # fmt: skip
            if o.state is State.FAILED:
                tree.SubElement(case, "failure", message=_xml(o.why)).text = _xml(_detail(o))
            elif o.state is State.SKIPPED:
                tree.SubElement(case, "skipped", message=_xml(o.why))
    tree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tree.tostring(root, "unicode") + "\n"


def _xml(value: str | None) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c for c in value or "" if c >= " " or c in "\t\n")


def _detail(o: Outcome) -> str:
    parts: Iterable[str] = (
        *(f"{r.sqlstate} {r.message}" for r in o.errors),
        *(f"finding {f}" for f in o.findings),
        *(f"step {s}" for s in o.steps),
    )
    return "\n".join(parts)


def html(report: Report) -> str:
    """One page that needs nothing else: no script, no font, no network."""
    template = environment().get_template("drill.html.j2")
    return template.render(report=report, summary=summary(report), phases=PHASES, where=_where)
