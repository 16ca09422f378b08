"""The queue table of the extension's early plans: refreshes kept for a prepared transaction's commit.

No release that cargo offers makes or reads it; it is there where somebody ran the early SQL by hand.
Columns differed, so rows are read as JSON: gid, prepared_at, queue_size, and refresh_queue, which is
a list of {entity, pk} or bytes.
"""

from __future__ import annotations

from pgtv.catalog.dialects.base import ident

TABLE = "pg_tview_pending_refreshes"
SHOWN = 1000  # rows that are read

# In any schema: with the OID for a look at who holds ACCESS EXCLUSIVE on it.
FIND = """
SELECT n.nspname::text, c.oid::int8,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
       EXISTS (SELECT 1 FROM pg_catalog.pg_locks l
                WHERE l.locktype = 'relation' AND l.relation = c.oid
                  AND l.mode = 'AccessExclusiveLock')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %(table)s AND c.relkind = 'r' ORDER BY 1
"""


def qualified(schema: str) -> str:
    return f"{ident(schema)}.{ident(TABLE)}"


def rows(schema: str) -> str:
    """Columns: gid, prepared_at, age_seconds, size, whether its transaction is still prepared here,
    and how often an (entity, key) of its queue is in this or another queue once more."""
    return f"""
WITH q AS MATERIALIZED (
  SELECT x.ctid AS at, pg_catalog.to_jsonb(x) AS r FROM {qualified(schema)} x LIMIT {SHOWN}
), entry AS (
  SELECT q.at, e.v->>'entity' AS entity, e.v->>'pk' AS pk
  FROM q, pg_catalog.jsonb_array_elements(
    CASE WHEN pg_catalog.jsonb_typeof(q.r->'refresh_queue') = 'array'
         THEN q.r->'refresh_queue' ELSE '[]' END) AS e(v)
), twice AS (
  SELECT entity, pk, pg_catalog.count(*) AS times FROM entry GROUP BY 1, 2
)
SELECT q.r->>'gid', q.r->>'prepared_at',
       EXTRACT(epoch FROM pg_catalog.clock_timestamp()
                          - (q.r->>'prepared_at')::pg_catalog.timestamptz)::float8,
       COALESCE(CASE WHEN q.r->>'queue_size' ~ '^[0-9]{{1,9}}$'
                     THEN (q.r->>'queue_size')::int8 END,
                (SELECT pg_catalog.count(*) FROM entry e WHERE e.at = q.at)),
       EXISTS (SELECT 1 FROM pg_catalog.pg_prepared_xacts p
                WHERE p.gid = q.r->>'gid' AND p.database = pg_catalog.current_database()),
       COALESCE((SELECT pg_catalog.sum(t.times - 1) FROM twice t
                  WHERE EXISTS (SELECT 1 FROM entry e WHERE e.at = q.at
                                   AND e.entity = t.entity AND e.pk = t.pk)), 0)::int8
FROM q ORDER BY q.r->>'prepared_at' NULLS FIRST, q.r->>'gid'
"""
