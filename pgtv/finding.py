"""What a check says: pure data, no behaviour beyond ordering.

A Finding is the problem, a Remedy is what to do about it; nothing here prints or connects.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pgtv.errors import Exit


class Severity(StrEnum):
    """How bad, in the words of monitoring systems."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """Precedence when several meet: critical, unknown, warning, info."""
        return _RANK[self]


_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.UNKNOWN: 2, Severity.CRITICAL: 3}


class Effect(StrEnum):
    """What it does to the application, which is what is asked at three in the morning."""

    WRITES_FAIL = "writes fail now"
    ROWS_WRONG = "rows are wrong or will be"
    RISK = "risk"
    NONE = "no effect on data"


@dataclass(frozen=True)
class Remedy:
    """The cure, as data.

    sql: statements that run in psql as they stand, in this order; names and literals in them are
        escaped so that no format and no terminal changes them.
    command: the pgtv command that does the same (or that looks closer), or None.
    role: who may run it. locks: `MODE on relation`, as a test observed them in pg_locks.
    undo: how to take it back; None where it cannot be taken back.
    note: what else to know (cost, what blocks meanwhile).
    decide: why a person has to decide before it is run (a transaction is rolled back, a session
        ended, a choice between two statements); every report prints it before the statements, and a
        plan leaves the cure out unless it is asked for by name.
    """

    sql: tuple[str, ...] = ()
    command: str | None = None
    role: str | None = None
    locks: tuple[str, ...] = ()
    undo: str | None = None
    note: str | None = None
    decide: str | None = None

    def __post_init__(self) -> None:
        from pgtv.pasted import pasteable

        object.__setattr__(self, "sql", tuple(pasteable(s) for s in self.sql))
        if self.undo and self.undo.rstrip().endswith(";"):
            object.__setattr__(self, "undo", pasteable(self.undo))


@dataclass(frozen=True)
class Finding:
    """One problem with one object, with the proof and the cure.

    id: stable across runs, for baselines: `check:object`, plus a discriminator where one object
        can have several.
    object: the qualified name it is about, quoted as SQL would need it.
    affects: qualified names of the TVIEWs that it reaches, the graph's dependents included.
    caused_by: id of the finding whose consequence this one is.
    needs: privileges that are missing to know more (only with Severity.UNKNOWN).
    evidence: the rows that prove it.
    """

    id: str
    check: str
    severity: Severity
    effect: Effect
    object: str
    title: str
    detail: str
    affects: tuple[str, ...] = ()
    caused_by: str | None = None
    needs: tuple[str, ...] = ()
    evidence: tuple[dict[str, Any], ...] = ()
    remedy: Remedy | None = None


def worst(severities: list[Severity]) -> Severity:
    """The severity that decides; INFO for none."""
    return max(severities, key=lambda s: s.rank, default=Severity.INFO)


def exit_code(severity: Severity) -> Exit:
    """The exit code of a run whose worst finding is `severity`."""
    return {
        Severity.INFO: Exit.HEALTHY,
        Severity.WARNING: Exit.WARNING,
        Severity.UNKNOWN: Exit.UNKNOWN,
        Severity.CRITICAL: Exit.CRITICAL,
    }[severity]
