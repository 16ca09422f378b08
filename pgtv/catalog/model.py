"""The Snapshot: what was true of TVIEWs in one database at one moment, as frozen dataclasses.

Everything that looks (checks, graph, status, diff) is a pure function of these classes, so a verdict
can be replayed from a file. Facts only: nothing here judges. Relations are linked by OID within one
snapshot and by qualified name between snapshots. `None` means "not known" (and then `gaps` tells
why), never "no".

Adding a field: give it a default, so that older files stay readable, and raise no version; changing
what a field means raises `SCHEMA`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

SCHEMA = "pgtv.snapshot/1"


@dataclass(frozen=True)
class Gap:
    """A section that could not be collected, in whole or for one object."""

    section: str
    reason: str
    needs: tuple[str, ...] = ()  # the privileges or conditions that are missing
    object: str | None = None


@dataclass(frozen=True)
class Server:
    """The server and the session that looked at it."""

    version_num: int = 0
    version: str = ""
    system_identifier: str | None = None
    database: str = ""
    database_oid: int = 0
    host: str = ""
    port: int = 0
    in_recovery: bool = False
    started_at: str | None = None
    stats_reset: str | None = None
    encoding: str = "UTF8"
    user: str = ""
    is_superuser: bool = False
    monitors: bool = False  # member of pg_monitor or superuser
    pooler: str | None = None  # "PgBouncer" where one was recognised in between
    databases: tuple[str, ...] = ()
    wal_lsn: str | None = None  # current, or last replayed on a standby
    max_connections: int = 0
    reserved_connections: int = 0
    connections: int | None = None
    max_prepared_transactions: int = 0
    notify_queue_usage: float | None = None  # 0..1


@dataclass(frozen=True)
class EventTrigger:
    name: str
    event: str
    enabled: str  # O origin, D disabled, R replica, A always
    function: str  # qualified
    owner: str = ""


@dataclass(frozen=True)
class Privilege:
    """A privilege on an object of the extension's that differs from what it came with.

    object: as GRANT names it, `FUNCTION tviews.f()`. given: False for one that was taken away.
    """

    object: str
    grantee: str  # PUBLIC or a role
    privilege: str
    grantable: bool = False
    given: bool = True


@dataclass(frozen=True)
class Extension:
    """What is installed of the extension: SQL objects, control file and library."""

    generation: str  # name of the dialect that read this: see pgtv.catalog.dialects
    installed: bool = False
    version: str | None = None
    default_version: str | None = None  # what the control file on disk would install
    versions: tuple[str, ...] = ()
    schema: str | None = None
    owner: str | None = None
    preloaded: bool | None = None
    preload_libraries: str | None = None  # the whole setting, None where it is hidden
    library_version: str | None = None  # None: not asked or could not be loaded
    library_error: str | None = None
    catalog_revision: int | None = None  # what the installed SQL says
    contract_version: int | None = None
    event_triggers: tuple[EventTrigger, ...] = ()
    jsonb_delta: bool = False
    tables_missing: tuple[str, ...] = ()  # catalog objects of this generation that are not there
    leftovers: tuple[str, ...] = ()  # tables named like TVIEWs while the extension is absent
    schema_left: bool = False  # the extension is absent, its schema is not
    public_lacks: tuple[tuple[str, str], ...] = ()  # (privilege, object) that PUBLIC has elsewhere
    creators: tuple[str, ...] = ()  # roles but the owner that may create objects in its schema
    privileges: tuple[Privilege, ...] = ()  # given or taken since it was created; a drop loses them


@dataclass(frozen=True)
class Tview:
    """One registration, as the extension's catalog holds it."""

    entity: str
    schema: str | None  # of the table, None when the table is gone
    name: str
    table_oid: int
    view_oid: int
    definition: str
    table_name: str | None = None  # qualified and quoted, None when gone
    view_name: str | None = None
    identity: tuple[str, ...] = ()
    identity_kind: str | None = None
    plan: Any = None
    plan_error: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    needs_reregister: bool = False
    time_dependent: bool = False
    time_refresh: str | None = None
    uncascaded: tuple[int, ...] = ()
    uncascaded_policy: str | None = None
    function_reads: tuple[tuple[str, int | None], ...] = ()
    managed_indexes: tuple[str, ...] = ()
    created_at: str | None = None
    registered_age: int | None = None  # age in transactions of the catalog row's version
    valid: bool | None = None  # UNLOGGED only: whether the extension trusts its rows
    raw: dict[str, Any] = field(default_factory=dict)  # the catalog row as it is, for restoring it

    @property
    def label(self) -> str:
        """How people name it: qualified where the table exists."""
        return self.table_name or self.name


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    attnum: int
    not_null: bool = False
    collation: str | None = None
    has_default: bool = False  # a default, an identity or a generated column fills it


@dataclass(frozen=True)
class Constraint:
    """A constraint that can refuse what is written to a table; `table` is where it is declared."""

    name: str
    kind: str  # pg_constraint.contype: c check, x exclusion, f foreign key, t trigger
    table: str


@dataclass(frozen=True)
class Relation:
    """A table, view, materialized view, partition or foreign table that some TVIEW touches."""

    oid: int
    schema: str
    name: str
    qualified: str  # quoted as SQL needs it
    kind: str  # pg_class.relkind
    owner: str
    persistence: str = "p"
    partition_of: int | None = None
    partition_root: int | None = None
    inherits: tuple[int, ...] = ()
    row_security: bool = False
    force_row_security: bool = False
    policies: int = 0
    relpages: int = 0
    reltuples: float = -1.0
    options: tuple[str, ...] = ()
    replica_identity: str = "d"
    has_triggers: bool = False
    columns: tuple[Column, ...] = ()
    rule_age: int | None = None  # age of a view's rule, in transactions
    rule_hash: str | None = None  # md5 of a view's query tree
    rule_on_constraint: bool = False  # groups by a primary key: a restore creates its rule late
    definition: str | None = None  # pg_get_viewdef, None for tables and where it would have waited
    owner_can_read: bool | None = None  # filled for what TVIEW owners must read: see Privilege
    file_node: int = 0
    is_populated: bool = True
    age: int | None = None  # age in transactions of the pg_class row (last DDL)
    rules: tuple[str, ...] = ()  # rewrite rules of a table; a view's own is left out
    constraints: tuple[Constraint, ...] = ()  # but keys; of TVIEWs' and planned tables
    owner_lacks: tuple[str, ...] = ()  # of a TVIEW's table: what its owner may not do with it
    bytes: int | None = (
        None  # of the main fork; only TVIEWs' tables, None where it would have waited
    )
    comment: str | None = None  # of backing views only


@dataclass(frozen=True)
class Read:
    """An edge of pg_depend: a view or materialized view reads a relation or calls a function."""

    reader: int
    relation: int | None = None
    function: int | None = None  # OID
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Function:
    signature: str
    oid: int
    owner: str
    volatility: str
    language: str
    security_definer: bool = False
    source_hash: str | None = None
    age: int | None = None
    extension: str | None = None
    reads: tuple[str, ...] = ()  # tables that its text names after FROM and JOIN; not if immutable
    granted: bool = False  # has privileges of its own: a GRANT renews its row, hence its age


@dataclass(frozen=True)
class Trigger:
    """A trigger on a relation that some TVIEW touches (or one that calls the extension)."""

    oid: int
    relation: int
    name: str
    function: str  # schema.name, unquoted
    kind: str | None  # row | flush | truncate | delta for the extension's, else None
    entity: str | None  # the argument, for the extension's
    type: int  # pg_trigger.tgtype bits
    enabled: str  # O origin, D disabled, R replica, A always
    parent: int | None = None
    args: tuple[str, ...] = ()
    when: bool = False  # has a WHEN condition
    columns: tuple[int, ...] = ()  # UPDATE OF columns
    constraint: bool = False
    deferrable: bool = False
    old_table: str | None = None
    new_table: str | None = None
    definition: str | None = None
    initially_deferred: bool = False
    language: str | None = None  # of the function
    writes: tuple[str, ...] = ()  # relations that the function's text writes, as spelled there
    # relations on which the function's text, under no condition, does again what fires the trigger
    repeats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    relation: int
    name: str
    columns: tuple[str, ...]  # key columns; '' for an expression
    unique: bool = False
    primary: bool = False
    valid: bool = True
    ready: bool = True
    partial: bool = False
    method: str = "btree"
    constraint: bool = False
    nulls_not_distinct: bool = False
    immediate: bool = True  # False: a deferrable constraint's, which ON CONFLICT cannot use
    replica_identity: bool = False  # chosen by REPLICA IDENTITY USING INDEX


@dataclass(frozen=True)
class TableStats:
    """Cumulative statistics of one table since `Server.stats_reset`."""

    relation: int
    live: int = 0
    dead: int = 0
    updates: int = 0
    hot_updates: int = 0
    inserts: int = 0
    deletes: int = 0
    modified_since_analyze: int = 0
    last_vacuum: str | None = None
    last_analyze: str | None = None


@dataclass(frozen=True)
class Setting:
    name: str
    value: str | None
    source: str = "default"
    pending_restart: bool = False
    reset: str | None = None  # what a new session gets here, where this one has set it itself


@dataclass(frozen=True)
class RoleSetting:
    """A setting fixed for a role or a database (pg_db_role_setting) or a function."""

    database: str | None
    role: str | None
    name: str
    value: str
    function: str | None = None
    # of a search_path: functions and operators that it finds before built-in ones of the same name
    shadows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grant:
    """A privilege that a role other than the owner holds on a catalog table or a TVIEW."""

    relation: int
    grantee: str  # PUBLIC or a role
    privilege: str
    grantable: bool = False


@dataclass(frozen=True)
class DefaultGrant:
    """A privilege to write that tables made from now on give away: ALTER DEFAULT PRIVILEGES.

    Only of roles that own a TVIEW, for every schema (None) or one where they own a TVIEW.
    """

    owner: str
    schema: str | None
    grantee: str  # PUBLIC or a role
    privileges: tuple[str, ...]


@dataclass(frozen=True)
class Access:
    """Whether a TVIEW's owner may read a relation that its definition reads, as SQL would decide."""

    role: str
    relation: int
    select: bool
    usage: bool
    bypasses_rls: bool = False
    reader: int = 0  # OID of the TVIEW's table whose refresh needs it
    function: str | None = None  # instead of a relation: its signature; `select` is EXECUTE
    columns: tuple[str, ...] = ()  # columns that are read and may not be, when not the whole table
    owner: str | None = None  # of the relation or function


@dataclass(frozen=True)
class Role:
    name: str
    superuser: bool = False
    bypass_rls: bool = False
    can_login: bool = True
    exists: bool = True


@dataclass(frozen=True)
class Lock:
    """A lock on a relation that some TVIEW touches or a prepared transaction holds, an extension's
    advisory lock, or a wait for a transaction's end (a row that somebody else changed)."""

    relation: int | None  # None: a wait for a transaction, or for a row behind another waiter
    mode: str
    granted: bool
    pid: int | None  # None: held by a prepared transaction
    gid: str | None = None
    advisory: bool = False
    wait_seconds: float | None = None
    target: str | None = None  # the xid waited for, the row, or the advisory key class/object/sub
    name: str | None = None  # of a relation that no TVIEW touches


@dataclass(frozen=True)
class Session:
    """A backend that holds or waits for a lock on a TVIEW's relations, or that lasts long."""

    pid: int
    user: str | None
    application: str
    client: str | None
    database: str | None
    state: str | None
    xact_seconds: float | None = None
    state_seconds: float | None = None
    query_seconds: float | None = None
    wait_event_type: str | None = None
    wait_event: str | None = None
    query: str | None = None  # first 200 characters, literals removed
    backend_type: str = "client backend"
    blocked_by: tuple[int, ...] = ()  # 0 stands for a prepared transaction
    xmin_age: int | None = None
    session_replication_role: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A prepared transaction, of any database of the cluster."""

    gid: str
    owner: str
    database: str
    prepared_at: str
    age_seconds: float
    xid_age: int
    xid: str = ""


@dataclass(frozen=True)
class Slot:
    name: str
    type: str
    active: bool
    database: str | None = None
    wal_status: str | None = None
    retained_bytes: int | None = None
    xmin_age: int | None = None
    plugin: str | None = None


@dataclass(frozen=True)
class Replica:
    """A standby as the primary sees it."""

    name: str
    state: str | None
    sync_state: str | None = None
    replay_lag_seconds: float | None = None
    replay_lag_bytes: int | None = None


@dataclass(frozen=True)
class Standby:
    """This server as a standby."""

    receiving: bool = False
    replay_paused: bool | None = None
    replay_lag_seconds: float | None = None
    replay_lag_bytes: int | None = None
    conflicts: int | None = None


@dataclass(frozen=True)
class Subscription:
    """A subscription and which of our relations it writes; its conninfo is never read."""

    name: str
    enabled: bool
    relations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Publication:
    name: str
    all_tables: bool
    relations: tuple[int, ...] = ()  # of its schemas too
    updates: bool = True  # publishes UPDATE or DELETE, which need a replica identity
    filters_other: tuple[int, ...] = ()  # relations whose row filter reads beyond their identity
    columns_lack: tuple[int, ...] = ()  # relations whose column list leaves out part of their identity


@dataclass(frozen=True)
class Archiver:
    mode: str = "off"
    archived: int = 0
    failed: int = 0
    last_archived: str | None = None
    last_failed: str | None = None


@dataclass(frozen=True)
class Counters:
    """The extension's own counters for one TVIEW."""

    entity: str
    values: dict[str, float] = field(default_factory=dict)
    stats_reset: str | None = None


@dataclass(frozen=True)
class Verification:
    """The last verification of a TVIEW that the schema `pgtv` or a state file recorded."""

    table_name: str
    verified_at: str
    age_seconds: float
    differing: int
    rows: int | None = None
    table_oid: int | None = None


@dataclass(frozen=True)
class LeasedTrigger:
    """A trigger that a lease holds, and its state of before (pg_trigger.tgenabled)."""

    entity: str
    relation: int
    relation_name: str  # qualified and quoted, as it was then
    trigger: int
    name: str
    enabled: str


@dataclass(frozen=True)
class Lease:
    """Triggers that `pgtv triggers disable` disabled for a time, or rows that are owed since.

    Of this database only: leases that a restored copy brought along are left out, and so are those
    that ended. remaining_seconds: until it should end, negative when overdue.
    """

    id: int
    taken_at: str
    until: str
    remaining_seconds: float
    reason: str
    taken_by: str
    entities: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()  # entities whose rows missed writes and were not brought yet
    enabled_at: str | None = None
    enabled_by: str | None = None
    triggers: tuple[LeasedTrigger, ...] = ()


@dataclass(frozen=True)
class Growth:
    """Tables of the extension that grow, and room that is used."""

    audit_log_rows: int | None = None
    audit_log_pages: int | None = None
    feed_gaps: int | None = None
    database_bytes: int | None = None
    data_total_bytes: int | None = None  # file system of the data directory, where we can see it
    data_free_bytes: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """One database, one moment. See the module's docstring."""

    taken_at: str
    pgtv_version: str
    server: Server
    extension: Extension
    tviews: tuple[Tview, ...] = ()
    relations: tuple[Relation, ...] = ()
    reads: tuple[Read, ...] = ()
    functions: tuple[Function, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    indexes: tuple[Index, ...] = ()
    table_stats: tuple[TableStats, ...] = ()
    settings: tuple[Setting, ...] = ()
    role_settings: tuple[RoleSetting, ...] = ()
    grants: tuple[Grant, ...] = ()
    default_grants: tuple[DefaultGrant, ...] = ()
    access: tuple[Access, ...] = ()
    roles: tuple[Role, ...] = ()
    locks: tuple[Lock, ...] = ()
    sessions: tuple[Session, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    slots: tuple[Slot, ...] = ()
    replicas: tuple[Replica, ...] = ()
    standby: Standby | None = None
    subscriptions: tuple[Subscription, ...] = ()
    publications: tuple[Publication, ...] = ()
    archiver: Archiver | None = None
    counters: tuple[Counters, ...] = ()
    verifications: tuple[Verification, ...] = ()
    leases: tuple[Lease, ...] = ()
    growth: Growth | None = None
    gaps: tuple[Gap, ...] = ()
    elapsed_ms: float = 0.0
    schema: str = SCHEMA

    # Look-ups that every check needs; computed once, they are no part of the file.

    @cached_property
    def by_oid(self) -> dict[int, Relation]:
        return {r.oid: r for r in self.relations}

    @cached_property
    def tview_by_table(self) -> dict[int, Tview]:
        return {t.table_oid: t for t in self.tviews}

    @cached_property
    def tview_by_entity(self) -> dict[str, Tview]:
        return {t.entity: t for t in self.tviews}

    @cached_property
    def triggers_on(self) -> dict[int, list[Trigger]]:
        found: dict[int, list[Trigger]] = {}
        for trigger in self.triggers:
            found.setdefault(trigger.relation, []).append(trigger)
        return found

    @cached_property
    def triggers_for(self) -> dict[tuple[int, str | None], list[Trigger]]:
        """The extension's triggers by relation and entity (None: no single argument)."""
        found: dict[tuple[int, str | None], list[Trigger]] = {}
        for trigger in self.triggers:
            if trigger.kind:
                found.setdefault((trigger.relation, trigger.entity), []).append(trigger)
        return found

    @cached_property
    def indexes_on(self) -> dict[int, list[Index]]:
        found: dict[int, list[Index]] = {}
        for index in self.indexes:
            found.setdefault(index.relation, []).append(index)
        return found

    @cached_property
    def stats_of(self) -> dict[int, TableStats]:
        return {s.relation: s for s in self.table_stats}

    @cached_property
    def setting(self) -> dict[str, str | None]:
        return {s.name: s.value for s in self.settings}

    @cached_property
    def reads_of(self) -> dict[int, list[Read]]:
        found: dict[int, list[Read]] = {}
        for read in self.reads:
            found.setdefault(read.reader, []).append(read)
        return found

    def gap(self, section: str, object: str | None = None) -> Gap | None:
        """Why `section` (of `object`) is missing, or None when it was collected."""
        for gap in self.gaps:
            if gap.section == section and gap.object in (None, object):
                return gap
        return None

    def name_of(self, oid: int) -> str:
        """The qualified name of a relation, or its OID where the snapshot does not hold it."""
        relation = self.by_oid.get(oid)
        return relation.qualified if relation else f"(relation {oid})"
