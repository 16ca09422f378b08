"""Prometheus text format, for the node exporter's textfile collector.

Severity is a number, the same as the exit codes: 0 fine or info, 1 warning, 2 critical, 3 unknown.
Every check has its series in every run, so an alert resolves by value and not by absence.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pgtv.checks.examine import Outcome, State
from pgtv.finding import Effect, Severity, exit_code, worst
from pgtv.reports.layout import Layout

Sample = tuple[dict[str, str], float]


def render(layout: Layout) -> str:
    """The metrics; ends with a newline."""
    lines: list[str] = []
    for name, help_, samples in _metrics(layout):
        lines += [f"# HELP {name} {help_}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(labels)} {value:.15g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _metrics(layout: Layout) -> Iterator[tuple[str, str, list[Sample]]]:
    examination = layout.examination
    snapshot = examination.snapshot
    base = {"database": snapshot.server.database}
    yield (
        "pgtv_doctor_status",
        "Exit code of the run: 0 healthy, 1 warning, 2 critical, 3 unknown.",
        [(base, float(layout.exit))],
    )
    yield (
        "pgtv_doctor_check_status",
        "Worst finding of a check: 0 none or info, 1 warning, 2 critical, 3 unknown.",
        [
            (base | {"check": o.check.id, "group": o.check.group}, _status(layout, o))
            for o in examination.outcomes
            if o.state is not State.NOT_APPLICABLE
        ],
    )
    yield (
        "pgtv_doctor_findings",
        "Number of findings by severity and by what they mean for the application.",
        [
            (base | {"severity": s.value, "effect": e.value}, float(
                sum(1 for f in examination.findings if f.severity is s and f.effect is e)
            ))
            for s in Severity
            for e in Effect
        ],
    )  # fmt: skip
    yield "pgtv_doctor_tviews", "Number of TVIEWs.", [(base, float(len(snapshot.tviews)))]
    yield (
        "pgtv_doctor_duration_seconds",
        "Time that collecting and checking took.",
        [(base, (snapshot.elapsed_ms + examination.elapsed_ms) / 1000)],
    )
    yield (
        "pgtv_doctor_last_run_timestamp_seconds",
        "When the database was looked at, in seconds since the epoch.",
        [(base, _epoch(snapshot.taken_at))],
    )


def _status(layout: Layout, outcome: Outcome) -> float:
    silenced = set(layout.examination.silenced)
    return float(exit_code(worst([f.severity for f in outcome.findings if f.id not in silenced])))


def _epoch(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{k}="{_escape(v)}"' for k, v in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
