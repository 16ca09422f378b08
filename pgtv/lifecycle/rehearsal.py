"""What a rehearsal measured and found: the document pgtv.rehearsal/1, and the clock that fills it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pgtv import __version__
from pgtv.catalog.schema import document_schema
from pgtv.errors import Exit, PgtvError
from pgtv.finding import Severity, exit_code, worst
from pgtv.lifecycle.verdict import Point

SCHEMA = "pgtv.rehearsal/1"


@dataclass(frozen=True)
class Phase:
    """One phase. seconds: wall clock. commands: what was run, as a person would run it.

    said: what came of it, in a line; of a phase that failed, why.
    """

    name: str
    seconds: float
    ok: bool = True
    commands: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """kind: `upgrade`, … subject: what was rehearsed on. points: what it found, with cures.

    facts: for people, label to value. elapsed: seconds from the first phase to the last.
    """

    kind: str
    subject: str
    summary: str
    at: str
    phases: tuple[Phase, ...]
    points: tuple[Point, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    elapsed: float = 0.0
    pgtv_version: str = __version__
    schema: str = SCHEMA

    @property
    def exit(self) -> Exit:
        return exit_code(worst([p.severity for p in self.points]))


@dataclass
class Running:
    """A phase that goes on: what it did so far."""

    name: str
    commands: list[str] = field(default_factory=list)
    said: str = ""


class Clock:
    """Measures phases, one after the other."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).isoformat(timespec="seconds")
        self.phases: list[Phase] = []
        self._started = time.monotonic()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Running]:
        """Everything inside is this phase. One that raises PgtvError is kept as failed."""
        running, started = Running(name), time.monotonic()

        def ended(ok: bool) -> None:
            took = round(time.monotonic() - started, 2)
            self.phases.append(Phase(name, took, ok, tuple(running.commands), running.said))

        try:
            yield running
        except PgtvError as e:
            running.said = e.message
            ended(False)
            raise
        ended(True)

    def seconds(self, *names: str) -> float:
        """How long the phases of these names took, together."""
        return sum(p.seconds for p in self.phases if p.name in names)

    @property
    def elapsed(self) -> float:
        return round(time.monotonic() - self._started, 2)


def schema() -> dict[str, Any]:
    """The JSON schema that schemas/ publishes."""
    return document_schema(
        Rehearsal,
        SCHEMA,
        "Report of pgtv rehearse upgrade with --format json; it has `exit`, the exit code, and `ok` as "
        "well. New fields may be added; fields that are here keep their meaning within version 1.",
    )


def failed(phase: Phase) -> Point:
    """The point that a phase makes which did not come to its end."""
    return Point(f"failed-{phase.name.replace(' ', '-')}", Severity.CRITICAL, phase.said)
