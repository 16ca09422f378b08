"""The shape of documents that are made as plain JSON types; their published schemas come from here.

New fields may be added; fields that are here keep their meaning within version 1. What follows `str` in
Annotated are the values that there are.
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from pgtv.rows.written import RefreshedTview


class TriggerCount(TypedDict):
    """Triggers of one TVIEW. expected: None where the catalog does not tell."""

    present: int
    expected: int | None
    disabled: int


class StatusLine(TypedDict):
    """One TVIEW. Estimates are the planner's, null where there is none. differing: rows at the last
    recorded comparison, 0 where a merge brought them since. waits: sessions that wait for a lock on it or
    on what it reads. findings: ids, as doctor has them."""

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


class RefreshRun(TypedDict):
    """A run of pgtv refresh. by: the login; started_from: `user@host`, the account that ran pgtv and the
    machine that it ran on. server_started_at: of the server that it wrote to: what another one, or the
    same after a crash, holds of it is not known. finished_at: null while it runs, and for ever where it
    was killed."""

    by: str
    started_from: str
    started_at: str
    finished_at: str | None
    server_started_at: str | None
    pgtv_version: str
    outcome: Annotated[str, "running", "complete", "failed", "interrupted"]


class RefreshDocument(RefreshRun):
    """Output and receipt of pgtv refresh. It holds values of rows.

    outcome: running in the receipt of a run that was killed; what is lacking here is in the lines of
    the file beside it, named as the receipt with .batches. earlier: the runs that this one went
    on from (--resume), first to last; `tviews` has what they did too. Receipts of early versions lack
    it, and who ran it and when.
    """

    schema: str
    database: str
    database_oid: int
    system_identifier: str | None
    applied: bool
    tviews: list[RefreshedTview]
    earlier: list[RefreshRun]


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


class GraphNode(TypedDict):
    """A relation or a function. rows: about how many, null where nothing tells."""

    name: str
    kind: Annotated[
        str, "table", "partition", "view", "matview", "foreign table", "function", "tview"
    ]
    rows: int | None


# written so because of `from`
GraphEdge = TypedDict(
    "GraphEdge",
    {
        "from": str,
        "to": str,
        "kind": Annotated[str, "embeds", "maps", "reads"],
        "columns": dict[str, list[str]],
        "sources": list[str],
    },
)
GraphEdge.__doc__ = """From what is read to its reader. columns: each with how it is used. sources: who
says so: definition, pg_depend, plan, or a declaration for a function."""


class GraphDocument(TypedDict):
    """Output of pgtv graph show. cycles: paths by name."""

    schema: str
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    cycles: list[list[str]]


class OrderStep(TypedDict):
    """A TVIEW; those of one step are independent of each other."""

    name: str
    step: int


class OrderDocument(TypedDict):
    """Output of pgtv graph order: each TVIEW after those that it reads."""

    schema: str
    order: list[OrderStep]


class CycleCut(TypedDict):
    """An edge to be removed: reader must not read read."""

    reader: str
    read: str


class FoundCycle(TypedDict):
    """TVIEWs that read themselves. full_path: with the relations in between. cut_is_smallest: false
    where there may be a smaller one."""

    path: list[str]
    full_path: list[str]
    members: list[str]
    cut: list[CycleCut]
    cut_is_smallest: bool


class CyclesDocument(TypedDict):
    """Output of pgtv graph cycles."""

    schema: str
    cycles: list[FoundCycle]


class ReachedTview(TypedDict):
    """A TVIEW that a change reaches. columns: of its own that may change, null for all. rows, and
    rows_per_changed_row: estimates, null where statistics are missing."""

    name: str
    path: list[str]
    columns: list[str] | None
    rows: int | None
    rows_per_changed_row: int | None


class ImpactDocument(TypedDict):
    """Output of pgtv graph impact, nearest first."""

    schema: str
    target: str
    tviews: list[ReachedTview]


class LintProblem(TypedDict):
    """A problem in a file; line and column count from 1."""

    file: str
    line: int
    column: int
    rule: str
    level: Annotated[str, "error", "warning"]
    message: str
    hint: str | None


class LintDocument(TypedDict):
    """Output of pgtv lint. files, definitions: how many were read."""

    schema: str
    files: int
    definitions: int
    problems: list[LintProblem]


class SnapshotSide(TypedDict):
    """Which database, and when."""

    taken_at: str
    database: str
    host: str
    port: int
    system_identifier: str | None
    server_version: str
    extension_version: str | None


class SnapshotChange(TypedDict):
    """One difference. field: which property, null for an object that came or went. before, after: its
    values, null on the side where it is not."""

    change: Annotated[str, "added", "removed", "changed"]
    kind: str
    object: str
    field: str | None
    before: Any
    after: Any


class NotCompared(TypedDict):
    """A section that one side could not see. needs: privileges."""

    side: Annotated[str, "before", "after"]
    section: str
    reason: str
    needs: list[str]


class TviewGrowth(TypedDict):
    """How one TVIEW grew between the two moments. bytes: of its table, TOAST and indexes. rows: the
    planner's estimates. null where it was not seen, per day also where there is no rate."""

    name: str
    bytes_before: int | None
    bytes_after: int | None
    bytes_per_day: float | None
    rows_before: int | None
    rows_after: int | None
    rows_per_day: float | None


class SnapshotGrowth(TypedDict):
    """days: between the two moments. no_rate: why nothing is told per day, null where it is. room_bytes:
    what is left, and room_from: who says so. fills: what is held against it, the whole disk of the data
    directory or the TVIEWs alone. days_left: if it goes on like that; null where it does not fill."""

    days: float
    no_rate: str | None
    tviews: list[TviewGrowth]
    bytes_per_day: float | None
    room_bytes: int | None
    room_from: Annotated[str, "file system", "given"] | None
    fills: Annotated[str, "disk", "TVIEWs"] | None
    fills_bytes_per_day: float | None
    days_left: float | None


class SnapshotDiffDocument(TypedDict):
    """Output of pgtv snapshot diff. growth: null where the two are not of one database."""

    schema: str
    same: bool
    before: SnapshotSide
    after: SnapshotSide
    changes: list[SnapshotChange]
    not_compared: list[NotCompared]
    growth: SnapshotGrowth | None


# documents by the name that they carry
PUBLISHED: dict[str, Any] = {
    "pgtv.status/1": StatusDocument,
    "pgtv.triggers/1": TriggersDocument,
    "pgtv.refresh/1": RefreshDocument,
    "pgtv.preflight/1": PreflightDocument,
    "pgtv.migration/1": MigrationDocument,
    "pgtv.graph/1": GraphDocument,
    "pgtv.order/1": OrderDocument,
    "pgtv.cycles/1": CyclesDocument,
    "pgtv.impact/1": ImpactDocument,
    "pgtv.lint/1": LintDocument,
    "pgtv.snapshot-diff/1": SnapshotDiffDocument,
}
