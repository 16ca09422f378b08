"""The collector's queries: plain PostgreSQL catalogs, no name of the extension in them.

Parameters are psycopg's named ones. `%%` is a literal per cent. Every object is qualified, though
search_path is pinned as well. OIDs come back as int8, as regclass would come back as a name; they are
looked for as oid, so that indexes serve: most of a catalog is not about TVIEWs.
"""

from __future__ import annotations

from pgtv.catalog.queries.activity import LOCKS, PREPARED, SESSIONS
from pgtv.catalog.queries.code import FUNCTIONS, TRIGGERDEFS, TRIGGERS, WRITTEN
from pgtv.catalog.queries.installation import (
    CATALOG_LOCKS,
    EVENT_TRIGGERS,
    EXTENSION,
    EXTENSION_PRIVILEGES,
    LEFTOVERS,
    MISSING_OBJECTS,
    PROBES,
)
from pgtv.catalog.queries.relations import (
    COLUMNS,
    INDEXES,
    REACH,
    READS,
    RELATIONS,
    SIZES,
    TABLE_STATS,
    VIEWDEFS,
)
from pgtv.catalog.queries.replication import (
    ARCHIVER,
    PUBLICATIONS,
    REPLICAS,
    SLOTS,
    STANDBY,
    SUBSCRIPTIONS,
)
from pgtv.catalog.queries.roles import DEFAULT_GRANTS, GRANTS, ROLES
from pgtv.catalog.queries.server import ROLE_SETTINGS, SERVER, SETTINGS, SYSTEM_IDENTIFIER, WAL_LSN
from pgtv.catalog.queries.state import KEPT

__all__ = [
    "ARCHIVER",
    "CATALOG_LOCKS",
    "COLUMNS",
    "DEFAULT_GRANTS",
    "EVENT_TRIGGERS",
    "EXTENSION",
    "EXTENSION_PRIVILEGES",
    "FUNCTIONS",
    "GRANTS",
    "INDEXES",
    "KEPT",
    "LEFTOVERS",
    "LOCKS",
    "MISSING_OBJECTS",
    "PREPARED",
    "PROBES",
    "PUBLICATIONS",
    "REACH",
    "READS",
    "RELATIONS",
    "REPLICAS",
    "ROLES",
    "ROLE_SETTINGS",
    "SERVER",
    "SESSIONS",
    "SETTINGS",
    "SIZES",
    "SLOTS",
    "STANDBY",
    "SUBSCRIPTIONS",
    "SYSTEM_IDENTIFIER",
    "TABLE_STATS",
    "TRIGGERDEFS",
    "TRIGGERS",
    "VIEWDEFS",
    "WAL_LSN",
    "WRITTEN",
]
