"""What a rehearsal measured and found: the document pgtv.rehearsal/1, and the clock that fills it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from pgtv import __version__
from pgtv.catalog.schema import document_schema
from pgtv.errors import Exit, PgtvError
from pgtv.finding import Severity, exit_code, worst
from pgtv.lifecycle.verdict import Point
from pgtv.session import translate

SCHEMA = "pgtv.rehearsal/1"
Say = Callable[[str], None]


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
    """Measures phases, one after the other. say: gets a line as each begins, and as it ends."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.at = datetime.now(UTC).isoformat(timespec="seconds")
        self.phases: list[Phase] = []
        self._started = time.monotonic()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Running]:
        """Everything inside is this phase. One that raises PgtvError or psycopg.Error is kept as failed."""
        running, started = Running(name), time.monotonic()
        self._line(f"{name} …")

        def ended(ok: bool) -> None:
            took = round(time.monotonic() - started, 2)
            self.phases.append(Phase(name, took, ok, tuple(running.commands), running.said))
            came = " ".join(running.said.split()) or "done"
            self._line(f"{name}: {came if ok else f'FAILED: {came}'}")

        try:
            yield running
        except (PgtvError, psycopg.Error) as e:
            running.said = _words(e)
            ended(False)
            raise
        ended(True)

    def _line(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._started:8.1f} s  {text}")

    def failed(self, error: PgtvError | psycopg.Error) -> Point:
        """The point that an error makes which ended it all, once there was a phase: where, and why."""
        last = self.phases[-1]
        name = last.name.replace(" ", "-")
        if last.ok:  # not within a phase
            return Point(f"failed-after-{name}", Severity.CRITICAL, _words(error))
        return Point(f"failed-{name}", Severity.CRITICAL, last.said)

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


def _words(error: PgtvError | psycopg.Error) -> str:
    return (error if isinstance(error, PgtvError) else translate(error)).message
