"""Tables that anybody who may create in the database could have planted: read and written without
running what is in them.

The schema `pgtv` is such a place: whoever has CREATE on the database can make one, of views, or with
triggers, before or after `pgtv init` did. What looks is often a superuser.

Reading is COPY … TO, which needs no look beforehand that would be outdated at once: it refuses all but
plain tables, plans nothing (the planner computes constants in the expressions of a table's indexes and
statistics), knows no rules and no inheritance children, and calls no code but the types' output
functions, which only a superuser can make. Policies are refused by row_security.

Writing is looked at: under locks that keep the table and its name as they are, everything on it that
could run code has to be what sql/state made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from pgtv.errors import NotPossible

if TYPE_CHECKING:
    import psycopg

SCHEMA = "pgtv"
TABLES = ("installation", "verification", "lease", "lease_trigger", "dead_letter")
INSERTS: LiteralString = "ROW EXCLUSIVE"  # what a role with INSERT alone may lock
CHANGES = (
    "SHARE ROW EXCLUSIVE"  # also keeps away CREATE STATISTICS, which the planner would look at
)

# Statements of pgtv.repairs.lease_sql: each begins so.
_WRITES = re.compile(
    r"^\s*(?:INSERT INTO|UPDATE ONLY|DELETE FROM ONLY) pgtv\.(?:lease_trigger|lease)\b",
    re.MULTILINE,
)

# Expressions of sql/state, as the server prints them under the search_path below.
_DEFAULTS = ["now()", "CURRENT_USER", "true", "'{}'::text[]"]
_CHECKS = ["one", """(enabled = ANY (ARRAY['O'::"char", 'D'::"char", 'R'::"char", 'A'::"char"]))"""]

_PINNED = (
    "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL quote_all_identifiers = off;"
    " SET LOCAL row_security = off"
)

# Renaming a schema takes no lock, but changes this row. Only superusers may lock it; nobody else is
# worth a swap that has to hit the moment between two statements.
_NAMED = """
SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = %s FOR SHARE
"""
_MAY = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_namespace', 'UPDATE')"

# What stands on these tables that running sql/state did not make, and that could run code when they
# are written. OIDs from 16384 on are of what was made since the server was.
_ODD = """
WITH kept AS (
  SELECT c.* FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s::text[])
), odd(relation, what) AS (
  SELECT k.oid, 'is no plain table' FROM kept k
  WHERE k.relkind <> 'r' OR k.relispartition OR k.reloftype <> 0
  UNION ALL
  SELECT k.oid, 'has row-level security' FROM kept k WHERE k.relrowsecurity
  UNION ALL
  SELECT h.inhparent, pg_catalog.format('has the inheritance child %%s',
                                        h.inhrelid::pg_catalog.regclass)
  FROM pg_catalog.pg_inherits h JOIN kept k ON k.oid = h.inhparent WHERE k.relkind = 'r'
  UNION ALL
  SELECT t.tgrelid, pg_catalog.format('has the trigger %%I', t.tgname)
  FROM pg_catalog.pg_trigger t WHERE t.tgrelid IN (SELECT oid FROM kept) AND NOT t.tgisinternal
  UNION ALL
  SELECT r.ev_class, pg_catalog.format('has the rule %%I', r.rulename)
  FROM pg_catalog.pg_rewrite r JOIN kept k ON k.oid = r.ev_class WHERE k.relkind = 'r'
  UNION ALL
  SELECT a.attrelid, pg_catalog.format('has the column %%I %%s', a.attname,
           CASE WHEN a.attgenerated <> '' THEN 'with an expression'
                ELSE 'of type ' || pg_catalog.format_type(a.atttypid, a.atttypmod) END)
  FROM pg_catalog.pg_attribute a JOIN kept k ON k.oid = a.attrelid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND k.relkind = 'r'
    AND (a.atttypid >= 16384 OR a.attgenerated <> '')
  UNION ALL
  SELECT d.adrelid, pg_catalog.format('has the column %%I with the default %%s', a.attname,
                                      pg_catalog.pg_get_expr(d.adbin, d.adrelid))
  FROM pg_catalog.pg_attrdef d
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  WHERE d.adrelid IN (SELECT oid FROM kept) AND a.attgenerated = ''
    AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) <> ALL (%(defaults)s::text[])
  UNION ALL
  SELECT k.oid, pg_catalog.format('has the constraint %%I', x.conname)
  FROM pg_catalog.pg_constraint x JOIN kept k ON k.oid IN (x.conrelid, x.confrelid)
  WHERE x.contype = 'f' AND NOT (x.conrelid IN (SELECT oid FROM kept)
                                 AND x.confrelid IN (SELECT oid FROM kept))
     OR x.contype = 'c' AND pg_catalog.pg_get_expr(x.conbin, x.conrelid) <> ALL (%(checks)s::text[])
     OR x.contype NOT IN ('f', 'c', 'p', 'u', 'n')
  UNION ALL
  SELECT i.indrelid, pg_catalog.format('has the index %%I, of an expression', c.relname)
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid IN (SELECT oid FROM kept) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
  UNION ALL
  SELECT s.stxrelid, pg_catalog.format('has the statistics %%I, of an expression', s.stxname)
  FROM pg_catalog.pg_statistic_ext s
  WHERE s.stxrelid IN (SELECT oid FROM kept) AND s.stxexprs IS NOT NULL
)
SELECT k.relname::text, o.what, r.rolname::text
FROM odd o JOIN kept k ON k.oid = o.relation LEFT JOIN pg_catalog.pg_roles r ON r.oid = k.relowner
ORDER BY 1, 2 LIMIT 1
"""


def read(
    connection: psycopg.Connection[Any], schema: str, table: str, columns: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """All rows of a plain table, as they come.

    columns: names, and the types that their texts are read as. In the transaction that is open, which
    keeps the settings of this; a savepoint is the caller's matter, and the connection is busy until
    the last row was taken. Raises psycopg.Error: also where it is no plain table, or where policies
    apply.
    """
    from psycopg import sql

    copied = sql.SQL("COPY {} ({}) TO STDOUT").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor:
        cursor.execute(_PINNED)
        with cursor.copy(copied) as copy:
            copy.set_types(list(columns.values()))
            for row in copy.rows():
                yield dict(zip(columns, row, strict=True))


def lock(connection: psycopg.Connection[Any], mode: LiteralString, *tables: str) -> None:
    """Lock tables of the schema pgtv before they are written, in the transaction that is open; then
    as `check`. Raises NotPossible and psycopg.Error."""
    from psycopg import sql

    connection.execute(_PINNED)
    if connection.execute(_MAY).fetchone() == (True,):
        connection.execute(_NAMED, (SCHEMA,))
    connection.execute(
        sql.SQL("LOCK TABLE {} IN {} MODE").format(
            sql.SQL(", ").join(sql.SQL("ONLY ") + sql.Identifier(SCHEMA, t) for t in tables),
            sql.SQL(mode),
        )
    )
    _look(connection)


def run(connection: psycopg.Connection[Any], unit: Sequence[str]) -> None:
    """Run the statements of a transaction block, or one alone; before any of them writes leases both
    tables are locked as `lock` does: what writes one may read the other, which is planned too. Base
    tables are locked behind these, and nobody who writes base tables waits for leases. Raises
    NotPossible and psycopg.Error; a block is left as it is then.
    """
    tables = ("lease", "lease_trigger") if any(_WRITES.search(s) for s in unit) else ()
    if tables and len(unit) == 1:
        with connection.transaction():
            lock(connection, CHANGES, *tables)
            connection.execute(unit[0].encode())
        return
    for i, statement in enumerate(unit):
        connection.execute(statement.encode())
        if tables and i == 0:
            lock(connection, CHANGES, *tables)


def check(connection: psycopg.Connection[Any]) -> None:
    """Raises NotPossible where writing the schema pgtv would run what is not of pgtv's making, as it
    stands now: who writes at once wants `lock`. Raises psycopg.Error."""
    with connection.transaction(force_rollback=True):
        connection.execute(_PINNED)
        _look(connection)


def _look(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute(
        _ODD,
        {"schema": SCHEMA, "tables": list(TABLES), "defaults": _DEFAULTS, "checks": _CHECKS},
    ).fetchone()
    if found:
        table, what, owner = found
        raise NotPossible(
            f"{SCHEMA}.{table} {what}, which pgtv init does not make (its owner: {owner})",
            "writing there would run code that pgtv does not know: drop what was added, or the schema"
            " (DROP SCHEMA pgtv CASCADE) and make it anew: pgtv init --apply",
        )
