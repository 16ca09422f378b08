"""Facts about the relations that TVIEWs touch. See pgtv.catalog.model."""

from __future__ import annotations

from dataclasses import dataclass


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
    # beside `bytes`: TOAST, and indexes as VACUUM or ANALYZE last saw them (a size would need their locks)
    more_bytes: int | None = None


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
    # views that reach it by an operator, an aggregate or another function only
    serves: tuple[int, ...] = ()


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
    # statements of the function's text, under no condition and with none that compares what is there:
    # `UPDATE relation` or `INSERT relation`
    always: tuple[str, ...] = ()


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
