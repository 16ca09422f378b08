"""Records of prepared transactions that pgtv ended, in the table that `pgtv init` makes.

A record is written before the transaction is ended, as `rolling back` or `committing`, and settled
after: whatever dies in between, what was about to be ended is known. A record that stayed open is
settled by the next run, from what the server remembers of the transaction id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pgtv.repairs.ending import ENDED
from pgtv.repairs.twophase import Transaction

if TYPE_CHECKING:
    import psycopg

UNDER_WAY = {"commit": "committing", "rollback": "rolling back"}
GONE = "ended by somebody else"

# By catalog, not to_regclass: that one fails where the schema may not be used.
_STANDS = """
SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
       pg_catalog.has_table_privilege(c.oid, 'INSERT')
         AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') AS writable
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'pgtv' AND c.relname = 'dead_letter' AND c.relkind = 'r'
"""

_HERE = """
    system_identifier = (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c)
AND database_oid = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database())
"""

_BEGIN = """
INSERT INTO pgtv.dead_letter (gid, owner, database_name, prepared_at, outcome, tviews, detail,
                              system_identifier, database_oid)
SELECT %(gid)s, %(owner)s, d.datname, %(at)s::timestamptz, %(outcome)s, %(tviews)s::text[],
       %(detail)s::jsonb, c.system_identifier::text, d.oid
FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
RETURNING id
"""

# The record that a run which died left of the very same transaction.
_AGAIN = f"""
UPDATE pgtv.dead_letter SET outcome = %(outcome)s, ended_at = pg_catalog.now(), ended_by = CURRENT_USER
WHERE id = (SELECT l.id FROM pgtv.dead_letter l
             WHERE {_HERE} AND l.gid = %(gid)s AND l.detail->>'xid' = %(xid)s
               AND l.outcome = ANY (%(under_way)s::text[]) LIMIT 1)
RETURNING id
"""

_SETTLE = "UPDATE pgtv.dead_letter SET outcome = %(outcome)s, ended_at = pg_catalog.now() WHERE id = %(id)s"

_OPEN = f"""
SELECT l.id, l.detail->>'xid' FROM pgtv.dead_letter l
WHERE {_HERE} AND l.outcome = ANY (%(under_way)s::text[])
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_prepared_xacts p
                   WHERE p.gid = l.gid AND p.transaction::text = l.detail->>'xid')
"""

_LIST = f"""
SELECT l.gid, l.owner::text AS owner, l.database_name::text AS database, l.outcome,
       l.prepared_at::text AS prepared_at, l.ended_at::text AS ended_at,
       l.ended_by::text AS ended_by, l.tviews, l.detail
FROM pgtv.dead_letter l WHERE {_HERE} ORDER BY l.ended_at DESC, l.id DESC LIMIT %(limit)s
"""

# How a transaction ended, from its 32-bit id: the epoch follows from the newest id.
_STATUS = """
WITH next AS (
  SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric AS n
), whole AS (
  SELECT n, n - pg_catalog.mod(pg_catalog.mod(n - %(xid)s::numeric, 4294967296) + 4294967296,
                               4294967296) AS x
  FROM next
)
SELECT CASE WHEN x >= 0 AND x < n THEN pg_catalog.pg_xact_status(x::text::pg_catalog.xid8) END
FROM whole
"""


@dataclass(frozen=True)
class DeadLetter:
    """One record. detail: the transaction as it was seen before."""

    gid: str
    owner: str | None
    database: str | None
    outcome: str
    prepared_at: str | None
    ended_at: str
    ended_by: str
    tviews: tuple[str, ...]
    detail: dict[str, Any] | None


def why_not(connection: psycopg.Connection[Any]) -> str | None:
    """Why no record can be kept in this database, or None where one can."""
    row = connection.execute(_STANDS).fetchone()
    if row is None:
        return "there is no table pgtv.dead_letter (pgtv init shows how to make it)"
    return None if row == (True, True) else "this role may not write pgtv.dead_letter"


def begin(connection: psycopg.Connection[Any], one: Transaction, action: str) -> int:
    """Record that a transaction is about to be ended; gives the record's id. Raises psycopg.Error."""
    values = {
        "xid": one.xid, "under_way": list(UNDER_WAY.values()),
        "gid": one.gid, "owner": one.owner, "at": one.prepared_at, "tviews": list(one.tviews),
        "outcome": UNDER_WAY[action], "detail": json.dumps(asdict(one), ensure_ascii=False),
    }  # fmt: skip
    with _writing(connection):
        row = connection.execute(_AGAIN.encode(), values).fetchone()
        row = row or connection.execute(_BEGIN, values).fetchone()
    assert row is not None
    return int(row[0])


def settle(connection: psycopg.Connection[Any], record: int, outcome: str) -> None:
    """Write down how it ended. Raises psycopg.Error."""
    with _writing(connection):
        connection.execute(_SETTLE, {"id": record, "outcome": outcome})


def settle_open(connection: psycopg.Connection[Any]) -> int:
    """Settle the records that a run left open when it died; gives their number. Raises psycopg.Error."""
    under_way = {"under_way": list(UNDER_WAY.values())}
    left = connection.execute(_OPEN.encode(), under_way).fetchall()
    for record, xid in left:
        settle(connection, record, ENDED.get(how_ended(connection, xid) or "", GONE))
    return len(left)


def how_ended(connection: psycopg.Connection[Any], xid: str) -> str | None:
    """`commit` or `rollback`, or None where the server no longer knows. Raises psycopg.Error."""
    row = connection.execute(_STATUS, {"xid": xid}).fetchone()
    return {"committed": "commit", "aborted": "rollback"}.get(row[0] or "") if row else None


def listed(connection: psycopg.Connection[Any], limit: int) -> list[DeadLetter]:
    """The newest records of this database; none where the table is not there or may not be read."""
    from psycopg.rows import dict_row

    row = connection.execute(_STANDS).fetchone()
    if row is None or not row[0]:
        return []
    with connection.cursor(row_factory=dict_row) as cursor:
        rows: Iterable[dict[str, Any]] = cursor.execute(_LIST.encode(), {"limit": limit}).fetchall()
    return [DeadLetter(**{**r, "tviews": tuple(r["tviews"] or ())}) for r in rows]


@contextmanager
def _writing(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction that writes also where the database was made read-only for an emergency."""
    with connection.transaction():
        connection.execute("SET TRANSACTION READ WRITE")
        yield
