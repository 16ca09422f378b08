"""Who holds and awaits what."""

from __future__ import annotations

# objsubid 21622 and 21623 mark the extension's advisory locks; their classid is a relation. Relations
# that no TVIEW touches are there where a prepared transaction holds them. Who waits for a row behind
# another waiter (locktype tuple) is told like who waits for a transaction: by the pids in its way.
LOCKS = """
WITH held AS MATERIALIZED (
  SELECT l.locktype, l.database, l.relation, l.page, l.tuple, l.transactionid, l.classid, l.objid,
         l.objsubid, l.mode, l.granted, l.pid, l.waitstart, l.virtualtransaction
  FROM pg_catalog.pg_locks l WHERE l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
), prepared AS (
  -- a prepared transaction keeps the virtual transaction of the session that began it (after a
  -- restart it is -1/xid): only its lock on its own transaction id tells which one it is
  SELECT h.virtualtransaction, p.gid FROM held h
  JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = h.transactionid
  WHERE h.locktype = 'transactionid' AND h.granted AND h.pid IS NULL
), foreign_tables AS (
  SELECT DISTINCT h.relation FROM held h
  JOIN pg_catalog.pg_class c ON c.oid = h.relation AND c.relkind IN ('r', 'p', 'm', 'f')
  WHERE h.locktype = 'relation' AND h.pid IS NULL AND h.relation::int8 >= 16384
    AND NOT h.relation = ANY (%(rels)s::oid[])
)
SELECT CASE WHEN l.locktype = 'relation' THEN l.relation::int8
            WHEN l.locktype = 'advisory' THEN l.classid::int8 END AS relation,
       l.mode, l.granted, l.pid, p.gid, l.locktype = 'advisory' AS advisory,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::float8 AS wait_seconds,
       CASE l.locktype WHEN 'transactionid' THEN l.transactionid::text
                       WHEN 'advisory' THEN pg_catalog.concat_ws('/', l.classid, l.objid, l.objsubid)
                       WHEN 'tuple' THEN pg_catalog.concat_ws('/', l.relation, l.page, l.tuple)
       END AS target,
       CASE WHEN f.relation IS NOT NULL THEN f.relation::pg_catalog.regclass::text END AS name
FROM held l
LEFT JOIN prepared p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
LEFT JOIN foreign_tables f ON l.locktype = 'relation' AND f.relation = l.relation
WHERE l.database = (SELECT oid FROM pg_catalog.pg_database
                     WHERE datname = pg_catalog.current_database())
      AND (l.locktype = 'relation' AND l.relation = ANY (%(rels)s::oid[])
           OR f.relation IS NOT NULL
           OR l.locktype = 'tuple' AND NOT l.granted
           OR l.locktype = 'advisory' AND l.objsubid IN (21622, 21623))
   OR l.locktype = 'transactionid' AND NOT l.granted
ORDER BY l.relation, l.pid, l.mode
"""

SESSIONS = """
SELECT a.pid, a.usename::text AS user, COALESCE(a.application_name, '') AS application,
       a.client_addr::text AS client, a.datname::text AS database, a.state,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS xact_seconds,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS state_seconds,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.query_start)::float8 AS query_seconds,
       a.wait_event_type, a.wait_event, a.query, COALESCE(a.backend_type, '') AS backend_type,
       CASE WHEN a.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(a.pid)
            ELSE '{}' END AS blocked_by,
       pg_catalog.age(a.backend_xmin) AS xmin_age
FROM pg_catalog.pg_stat_activity a
WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'
  AND a.datname = pg_catalog.current_database()
  AND (a.xact_start IS NOT NULL
       OR a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l
                     WHERE l.relation = ANY (%(rels)s::oid[])))
ORDER BY a.xact_start NULLS LAST, a.pid
"""

PREPARED = """
SELECT p.gid, p.owner::text AS owner, p.database::text AS database,
       p.prepared::text AS prepared_at,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::float8 AS age_seconds,
       pg_catalog.age(p.transaction) AS xid_age, p.transaction::text AS xid
FROM pg_catalog.pg_prepared_xacts p
ORDER BY p.prepared, p.gid
"""
