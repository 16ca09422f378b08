"""What a migration does to TVIEWs, statement by statement: pure data.

A Statement is one SQL statement of a file with what it will do; a Migration is all of them, with the
order that is safer. Nothing here judges, connects or prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pgtv.errors import Exit
from pgtv.finding import Severity, exit_code, worst


class Mode(StrEnum):
    """Table locks, weakest first, as LOCK TABLE spells them."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def rank(self) -> int:
        return list(Mode).index(self)

    @property
    def stops_writers(self) -> bool:
        return self.rank >= Mode.SHARE.rank

    @property
    def stops_readers(self) -> bool:
        return self is Mode.ACCESS_EXCLUSIVE


class What(StrEnum):
    """What a statement does, in the words of the report; worst first."""

    FAILS = "fails"
    WRITES_FAIL = "writes fail"
    DROPS = "drops"
    STALE = "leaves stale"
    UNTRACKED = "untracked"
    UNKNOWN = "unknown"
    REBUILDS = "rebuilds"
    REWRITES = "rewrites"
    NAMES = "stale names"
    WAITS = "blocks"
    RISK = "risk"
    NOTE = "note"


SEVERITY = {
    What.FAILS: Severity.CRITICAL,
    What.WRITES_FAIL: Severity.CRITICAL,
    What.DROPS: Severity.CRITICAL,
    What.STALE: Severity.CRITICAL,
    What.UNTRACKED: Severity.CRITICAL,
    What.UNKNOWN: Severity.UNKNOWN,
    What.REBUILDS: Severity.WARNING,
    What.REWRITES: Severity.WARNING,
    What.NAMES: Severity.WARNING,
    What.WAITS: Severity.WARNING,
    What.RISK: Severity.WARNING,
    What.NOTE: Severity.INFO,
}


@dataclass(frozen=True)
class Effect:
    """One thing that a statement does.

    tviews: qualified names. sqlstate: of the error, where it is one (of the statement, or of the
    writes after it). cure: statements or commands, in order, for after the migration.
    """

    what: What
    text: str
    tviews: tuple[str, ...] = ()
    sqlstate: str | None = None
    cure: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        return SEVERITY[self.what]


@dataclass(frozen=True)
class Statement:
    """One statement. locks: the strongest on each relation of TVIEWs, from ROW EXCLUSIVE up.

    rules: ids of pgtv.migration.rules. rewrites: tables whose file is written anew. upto: TVIEWs that
    the statement may write, as ROW EXCLUSIVE. line and column count from 1. sql: its text, kind and node:
    of its parse tree.
    """

    file: str
    line: int
    column: int
    text: str
    rules: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    locks: tuple[tuple[str, Mode], ...] = ()
    rewrites: tuple[str, ...] = ()
    upto: tuple[str, ...] = ()
    transaction: bool = False  # inside one that the file opened, or that --single-transaction does
    sql: str = ""
    kind: str = ""
    node: Mapping[str, Any] = field(default_factory=dict)
    block: str = ""  # of one in a DO block: where that begins
    makes: str | None = None  # the TVIEW that it makes or redefines

    @property
    def severity(self) -> Severity:
        return worst([e.severity for e in self.effects])

    @property
    def fails(self) -> Effect | None:
        """The error that it ends in; then it does nothing else."""
        return next((e for e in self.effects if e.what is What.FAILS), None)


@dataclass(frozen=True)
class Stage:
    """One step of the safer order: what to run, and why there."""

    text: str
    sql: tuple[str, ...] = ()


@dataclass(frozen=True)
class Migration:
    """All statements of all files, in their order. source: what they were held against.

    unseen: sections of the snapshot that could not be collected, so that more may happen than is said.
    """

    files: tuple[str, ...]
    source: str
    statements: tuple[Statement, ...]
    order: tuple[Stage, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        unseen = [Severity.UNKNOWN] if self.unseen else []
        return exit_code(worst([*(s.severity for s in self.statements), *unseen]))

    def of(self, *whats: What) -> Sequence[tuple[Statement, Effect]]:
        return [(s, e) for s in self.statements for e in s.effects if e.what in whats]
