"""What a drill declares, and what came out of it: pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can
from pgtv.drills.statements import Break, Refusal
from pgtv.errors import Exit

if TYPE_CHECKING:
    from pgtv.drills.scene import Scene

SCHEMA = "pgtv.drill/1"
ANY_SERVER = Wish()
PHASES = ("prepare", "inject", "detect", "recover", "verify")


@dataclass(frozen=True)
class Sees:
    """What must be seen after the injection; anything missing fails the drill.

    errors: regular expressions of (SQLSTATE, message) that a statement was refused with or a session
    ended by.
    findings: `check` or `check:object` of doctor's findings. verify: doctor compares contents too.
    thresholds: by `check.name`, for what would take hours to be old enough. log: regular expressions of
    the server's log. equal: TVIEWs whose rows must be right all along, because the failure rolled back.
    """

    errors: tuple[tuple[str, str], ...] = ()
    findings: tuple[str, ...] = ()
    verify: bool = False
    thresholds: Mapping[str, float] = field(default_factory=dict)
    log: tuple[str, ...] = ()
    equal: bool = False


@dataclass(frozen=True)
class Variant:
    """One way in which a mode comes.

    inject: breaks it. recover: cures it by the documented statements, and says which
    (`Scene.steps`); by default those that doctor prints. needs: powers over the server without which it
    is skipped. wish: the server that it runs on. own: it breaks more than its database, so it gets a
    server of its own. majors: of PostgreSQL, on which it is tried. skip: why it cannot be tried on a
    server that was made, or None. lasts: doctor's findings that rightly stay (`check` or `check:object`).
    """

    id: str
    title: str
    inject: Break | Callable[[Scene], None]
    sees: Sees
    recover: Callable[[Scene], None] | None = None
    needs: tuple[Can, ...] = ()
    wish: Wish = ANY_SERVER
    own: bool = False
    majors: tuple[int, ...] = (16, 17, 18)
    skip: Callable[[Scene], str | None] | None = None
    lasts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mode:
    """One of the twelve. script: the folder and name of its script below test/failure-modes."""

    number: int
    id: str
    title: str
    script: str
    variants: tuple[Variant, ...]


class State(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """How one variant ended.

    rows_lost: rows committed before or during the drill that are gone, and rows of TVIEWs that still
    differ. seconds: by phase. steps: what was done to recover, as typed. why: what was missing, or why
    it was skipped. kept: where what a failed drill left can be looked at. readers: what a reader of the
    TVIEWs got before the recovery; writers: what one got who wrote rows of two base tables that the drill
    does not hold; None where that was not measured. commit: of pgtv's source, where it
    is another than the report's, which was then put together of several.
    """

    mode: str
    variant: str
    title: str
    provider: str
    major: int
    state: State
    injected: bool = False
    detected: bool = False
    recovered: bool = False
    verified: bool = False
    rows_lost: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    errors: tuple[Refusal, ...] = ()
    findings: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    why: str | None = None
    kept: str | None = None
    readers: str | None = None
    writers: str | None = None
    commit: str | None = None

    @property
    def name(self) -> str:
        return f"{self.mode}/{self.variant}"

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return round(sum(self.seconds.values()), 3)


@dataclass(frozen=True)
class Report:
    """Drills that ran together. commit: of pgtv's source, where that is a checkout."""

    pgtv_version: str
    at: str
    extension: str | None
    outcomes: tuple[Outcome, ...] = ()
    commit: str | None = None
    schema: str = SCHEMA

    def count(self, state: State) -> int:
        return sum(o.state is state for o in self.outcomes)

    @property
    def exit(self) -> Exit:
        """0 when all that could run passed, 2 when one failed, 3 when nothing could run."""
        if self.count(State.FAILED):
            return Exit.CRITICAL
        return Exit.HEALTHY if self.count(State.PASSED) else Exit.UNKNOWN
