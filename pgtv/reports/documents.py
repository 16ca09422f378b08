"""The shape of documents that are made as plain JSON types; their published schemas come from here.

New fields may be added; fields that are here keep their meaning within version 1. What follows `str` in
Annotated are the values that there are.
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict


class TriggerCount(TypedDict):
    """Triggers of one TVIEW. expected: None where the catalog does not tell."""

    present: int
    expected: int | None
    disabled: int


class StatusLine(TypedDict):
    """One TVIEW. Estimates are the planner's, null where there is none. differing: rows at the last
    recorded comparison. waits: sessions that wait for a lock on it or on what it reads. findings: ids,
    as doctor has them."""

    name: str
    entity: str
    state: Annotated[str, "broken", "stale", "unknown", "risk", "ok"]
    severity: str
    rows_estimate: int | None
    bytes_estimate: int | None
    verified_at: str | None
    verified_age_seconds: float | None
    differing: int | None
    triggers: TriggerCount
    waits: int
    flags: list[str]
    findings: list[str]


class StatusDocument(TypedDict):
    """Output of pgtv status. unseen: why the registrations could not be read. others: ids of grave
    findings that are about no single TVIEW."""

    schema: str
    status: Annotated[str, "healthy", "warning", "critical", "unknown"]
    exit_code: int
    taken_at: str
    database: str
    host: str
    port: int
    unseen: str | None
    tviews: list[StatusLine]
    others: list[str]


class TriggerState(TypedDict):
    """One trigger. enabled: O fires, D disabled, R replica only, A always; before: what it was when the
    lease was taken."""

    name: str
    kind: str | None
    enabled: Annotated[str, "O", "D", "R", "A"]
    lease: int | None
    before: str | None


class TriggersOfTable(TypedDict):
    """The triggers of one TVIEW on one table. expected: whether they are what the TVIEW's plan asks for,
    null where it does not tell. missing: kinds that are not there."""

    table: str
    partition_of: str | None
    tview: str
    expected: bool | None
    missing: list[str]
    triggers: list[TriggerState]


class LeaseState(TypedDict):
    """A lease of disabled triggers. triggers: how many. owed: TVIEWs whose rows are to be brought."""

    id: int
    taken_at: str
    taken_by: str
    until: str
    remaining_seconds: float
    reason: str
    triggers: int
    tviews: list[str]
    owed: list[str]


class TriggersDocument(TypedDict):
    """Output of pgtv triggers status. findings: ids of those that decide the exit code."""

    schema: str
    exit_code: int
    taken_at: str
    database: str
    tables: list[TriggersOfTable]
    leases: list[LeaseState]
    findings: list[str]


class OverwrittenRow(TypedDict):
    """A row as it was before: texts of its columns, null where it was missing."""

    kind: Annotated[str, "missing", "extra", "changed"]
    key: list[str | None]
    old: list[str | None] | None


class RefreshedTview(TypedDict):
    """What was done to one TVIEW. differing: rows that differed before; at_least: there were more than
    were counted. keys: rows written, by identity. complete: overwritten has every one of them."""

    tview: str
    end: Annotated[str, "equal", "differs", "merged", "unsettled", "unknown"]
    differing: int
    at_least: bool
    inserted: int
    updated: int
    deleted: int
    batches: int
    rounds: int
    retries: int
    seconds: float
    waited_seconds: float
    longest_batch_seconds: float
    grew_bytes: int
    reason: str | None
    keys: list[list[str | None]]
    overwritten: list[OverwrittenRow]
    complete: bool


class RefreshDocument(TypedDict):
    """Output and receipt of pgtv refresh. It holds values of rows."""

    schema: str
    database: str
    database_oid: int
    system_identifier: str | None
    applied: bool
    tviews: list[RefreshedTview]


class PreflightPoint(TypedDict):
    """One thing to know. id: stable. objects: qualified names. cure: commands or SQL, in order.

    state: of a checklist's point (preflight upgrade): done, to do, not applicable or unknown.
    """

    id: str
    severity: str
    text: str
    objects: list[str]
    cure: list[str]
    state: str | None


class PreflightDocument(TypedDict):
    """Output of pgtv preflight. facts: for people, label to value. commands: how to go on."""

    schema: str
    exit: int
    ok: bool
    subject: str
    summary: str
    points: list[PreflightPoint]
    facts: dict[str, str]
    commands: list[str]


class MigrationLock(TypedDict):
    """The strongest lock that a statement takes on a relation, as LOCK TABLE spells it."""

    relation: str
    mode: str


class MigrationEffect(TypedDict):
    """One thing that a statement does. sqlstate: of its error, or of the writes after it.

    what: fails, writes fail, drops, leaves stale, untracked, unknown, rebuilds, rewrites, stale names,
    blocks, risk or note. tviews: qualified names. cure: statements or commands, in order.
    """

    what: str
    severity: str
    text: str
    tviews: list[str]
    sqlstate: str | None
    cure: list[str]


class MigrationStatement(TypedDict):
    """A statement of a file; line and column count from 1. rules: statement/situation, stable.

    locks: ROW EXCLUSIVE and stronger. may_write: TVIEWs and partitions that rows may be written in.
    """

    file: str
    line: int
    column: int
    text: str
    severity: str
    rules: list[str]
    transaction: bool
    effects: list[MigrationEffect]
    locks: list[MigrationLock]
    rewrites: list[str]
    may_write: list[str]


class MigrationStage(TypedDict):
    """A step of the safer order: what to run there, and why."""

    text: str
    sql: list[str]


class MigrationDocument(TypedDict):
    """Output of pgtv preflight migration. against: what it was judged on. unseen: what was not there."""

    schema: str
    exit: int
    ok: bool
    files: list[str]
    against: str
    summary: str
    statements: list[MigrationStatement]
    order: list[MigrationStage]
    unseen: list[str]


# documents by the name that they carry
PUBLISHED: dict[str, Any] = {
    "pgtv.status/1": StatusDocument,
    "pgtv.triggers/1": TriggersDocument,
    "pgtv.refresh/1": RefreshDocument,
    "pgtv.preflight/1": PreflightDocument,
    "pgtv.migration/1": MigrationDocument,
}
