"""Facts about the extension as installed, and its registrations. See pgtv.catalog.model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
    tables_missing: tuple[str, ...] = ()  # objects that are not there; functions as `name()`
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
class Counters:
    """The extension's own counters for one TVIEW."""

    entity: str
    values: dict[str, float] = field(default_factory=dict)
    stats_reset: str | None = None


@dataclass(frozen=True)
class Growth:
    """Tables of the extension that grow, and room that is used."""

    audit_log_rows: int | None = None
    audit_log_pages: int | None = None
    feed_gaps: int | None = None
    database_bytes: int | None = None
    data_total_bytes: int | None = None  # file system of the data directory, where we can see it
    data_free_bytes: int | None = None
