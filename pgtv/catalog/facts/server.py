"""Facts about the server, its settings and roles. See pgtv.catalog.model."""

from __future__ import annotations

from dataclasses import dataclass


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
    timeline: int | None = None  # that is written; of a standby see there
    max_connections: int = 0
    reserved_connections: int = 0
    connections: int | None = None
    max_prepared_transactions: int = 0
    notify_queue_usage: float | None = None  # 0..1

    def is_database(self, system: object, oid: object) -> bool:
        """Whether it is the very database that somebody noted by its cluster's identifier and its OID.

        A database's OID alone says little: the first one made has the same in every cluster. An identifier
        that could not be seen, here or there, speaks for neither.
        """
        return oid == self.database_oid and (
            None in (system, self.system_identifier) or system == self.system_identifier
        )


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
    in_text: bool = False  # the function's text sets it


@dataclass(frozen=True)
class Role:
    name: str
    superuser: bool = False
    bypass_rls: bool = False
    can_login: bool = True
    exists: bool = True
