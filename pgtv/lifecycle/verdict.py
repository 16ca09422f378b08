"""The verdict of a preflight: points, each with its cure, and the exit code that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgtv.errors import Exit
from pgtv.finding import Severity, exit_code, worst


@dataclass(frozen=True)
class Point:
    """One thing to know. id: stable. objects: qualified names. cure: commands or SQL, in order.

    state: of a checklist's point: `done`, `to do`, `not applicable` or `unknown`.
    """

    id: str
    severity: Severity
    text: str
    objects: tuple[str, ...] = ()
    cure: tuple[str, ...] = ()
    state: str | None = None


@dataclass(frozen=True)
class Verdict:
    """subject: what was looked at. facts: for people, label to value. commands: how to go on."""

    subject: str
    summary: str
    points: tuple[Point, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        return exit_code(worst([p.severity for p in self.points]))
