"""Facts about what goes on: locks, sessions, prepared transactions, replication. See pgtv.catalog.model."""

from __future__ import annotations

from dataclasses import dataclass


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
    timeline: int | None = None  # that is received, else replayed
    last_commit: str | None = None  # when the last replayed transaction was committed


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
    columns_lack: tuple[
        int, ...
    ] = ()  # relations whose column list leaves out part of their identity


@dataclass(frozen=True)
class Archiver:
    mode: str = "off"
    archived: int = 0
    failed: int = 0
    last_archived: str | None = None
    last_failed: str | None = None
