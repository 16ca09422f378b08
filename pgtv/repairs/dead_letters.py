"""Records of prepared transactions that pgtv ended, in the table that `pgtv init` makes.

A record is written before the transaction is ended, as `rolling back` or `committing`, and settled
after: whatever dies in between, what was about to be ended is known. A record that stayed open is
settled by the next run, from what the server remembers of the transaction id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pgtv import kept
from pgtv.errors import NotPossible
from pgtv.repairs.ending import ENDED
from pgtv.repairs.twophase import Transaction
from pgtv.session import snapshot_transaction

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
SELECT c.system_identifier::text, d.oid::int8
FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
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

_AGAIN = """
UPDATE ONLY pgtv.dead_letter SET outcome = %(outcome)s, ended_at = pg_catalog.now(),
       ended_by = CURRENT_USER
WHERE id = %(id)s RETURNING id
"""

_SETTLE = (
    "UPDATE ONLY pgtv.dead_letter SET outcome = %(outcome)s, ended_at = pg_catalog.now()"
    " WHERE id = %(id)s"
)
_PREPARED = "SELECT p.gid, p.transaction::text FROM pg_catalog.pg_prepared_xacts p"

_TABLE = "dead_letter"
_COLUMNS = {
    "id": "int8", "gid": "text", "owner": "text", "database_name": "text", "prepared_at": "text",
    "ended_at": "text", "ended_by": "text", "outcome": "text", "tviews": "text[]",
    "detail": "jsonb", "system_identifier": "text", "database_oid": "oid",
}  # fmt: skip

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
    if row != (True, True):
        return "this role may not write pgtv.dead_letter"
    try:
        kept.check(connection)
    except NotPossible as e:
        return e.message
    return None


def begin(connection: psycopg.Connection[Any], one: Transaction, action: str) -> int:
    """Record that a transaction is about to be ended; gives the record's id.

    Raises psycopg.Error, and NotPossible where the table is no longer what `why_not` saw.
    """
    values: dict[str, Any] = {
        "gid": one.gid, "owner": one.owner, "at": one.prepared_at, "tviews": list(one.tviews),
        "outcome": UNDER_WAY[action], "detail": json.dumps(asdict(one), ensure_ascii=False),
    }  # fmt: skip
    with _writing(connection):
        # the record that a run which died left of the very same transaction
        again = (r["id"] for r in _open(connection) if (r["gid"], _xid(r)) == (one.gid, one.xid))
        values["id"] = next(again, None)
        statement = _BEGIN if values["id"] is None else _AGAIN
        row = connection.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])


def settle(connection: psycopg.Connection[Any], record: int, outcome: str) -> None:
    """Write down how it ended. Raises as `begin`."""
    with _writing(connection):
        connection.execute(_SETTLE, {"id": record, "outcome": outcome})


def settle_open(connection: psycopg.Connection[Any]) -> int:
    """Settle the records that a run left open when it died; gives their number. Raises as `begin`."""
    with connection.transaction():
        prepared = set(connection.execute(_PREPARED).fetchall())
        left = [r for r in _open(connection) if (r["gid"], _xid(r)) not in prepared]
    for record in left:
        how = how_ended(connection, _xid(record)) if _xid(record) else None
        settle(connection, record["id"], ENDED.get(how or "", GONE))
    return len(left)


def _open(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Records of transactions that were about to be ended."""
    return [r for r in _records(connection) if r["outcome"] in UNDER_WAY.values()]


def _xid(record: dict[str, Any]) -> str:
    detail = record["detail"]
    return str(detail.get("xid") or "") if isinstance(detail, dict) else ""


def _records(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """All of this server and database, in the transaction that is open. Raises psycopg.Error."""
    here = connection.execute(_HERE).fetchone()
    rows = kept.read(connection, kept.SCHEMA, _TABLE, _COLUMNS)
    return [r for r in rows if (r["system_identifier"], r["database_oid"]) == here]


def how_ended(connection: psycopg.Connection[Any], xid: str) -> str | None:
    """`commit` or `rollback`, or None where the server no longer knows. Raises psycopg.Error."""
    row = connection.execute(_STATUS, {"xid": xid}).fetchone()
    return {"committed": "commit", "aborted": "rollback"}.get(row[0] or "") if row else None


def listed(connection: psycopg.Connection[Any], limit: int) -> list[DeadLetter]:
    """The newest records of this database; none where the table is not there or may not be read."""
    row = connection.execute(_STANDS).fetchone()
    if row is None or not row[0]:
        return []
    with snapshot_transaction(connection):
        rows = _records(connection)
    # a table that somebody else made may lack any of them
    rows = [r for r in rows if None not in (r["gid"], r["outcome"], r["ended_at"], r["ended_by"])]
    rows.sort(key=lambda r: (r["ended_at"], r["id"]), reverse=True)
    return [
        DeadLetter(
            r["gid"], r["owner"], r["database_name"], r["outcome"], r["prepared_at"], r["ended_at"],
            r["ended_by"], tuple(r["tviews"] or ()), r["detail"],
        )
        for r in rows[:limit]
    ]  # fmt: skip


@contextmanager
def _writing(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction that writes also where the database was made read-only for an emergency."""
    with connection.transaction():
        connection.execute("SET TRANSACTION READ WRITE")
        kept.lock(connection, kept.CHANGES, _TABLE)
        yield
