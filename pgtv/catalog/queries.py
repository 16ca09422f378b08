"""The collector's queries: plain PostgreSQL catalogs, no name of the extension in them.

Parameters are psycopg's named ones. `%%` is a literal per cent. Every object is qualified, though
search_path is pinned as well. OIDs are cast to int8: the wire's oid would come back unsigned but
regclass would come back as a name.
"""

from __future__ import annotations

SERVER = """
SELECT pg_catalog.current_setting('server_version_num')::int4 AS version_num,
       pg_catalog.current_setting('server_version') AS version,
       pg_catalog.current_database()::text AS database,
       (SELECT oid::int8 FROM pg_catalog.pg_database
         WHERE datname = pg_catalog.current_database()) AS database_oid,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.pg_postmaster_start_time()::text AS started_at,
       (SELECT stats_reset::text FROM pg_catalog.pg_stat_database
         WHERE datname = pg_catalog.current_database()) AS stats_reset,
       pg_catalog.current_setting('server_encoding') AS encoding,
       CURRENT_USER::text AS "user",
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER) AS is_superuser,
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS monitors,
       ARRAY(SELECT datname::text FROM pg_catalog.pg_database
              WHERE datallowconn AND NOT datistemplate ORDER BY datname) AS databases,
       pg_catalog.current_setting('max_connections')::int4 AS max_connections,
       pg_catalog.current_setting('superuser_reserved_connections')::int4
         + COALESCE(pg_catalog.current_setting('reserved_connections', true)::int4, 0)
         AS reserved_connections,
       (SELECT sum(numbackends)::int4 FROM pg_catalog.pg_stat_database) AS connections,
       pg_catalog.current_setting('max_prepared_transactions')::int4 AS max_prepared_transactions,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE pg_catalog.pg_notification_queue_usage() END AS notify_queue_usage
"""

SYSTEM_IDENTIFIER = "SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()"

WAL_LSN = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_lsn() END::text AS lsn
"""

EXTENSION = """
SELECT e.oid IS NOT NULL AS installed, e.extversion AS version, n.nspname::text AS schema,
       r.rolname::text AS owner, a.default_version,
       ARRAY(SELECT v.version FROM pg_catalog.pg_available_extension_versions v
              WHERE v.name = %(extension)s ORDER BY v.version) AS versions,
       CASE WHEN pg_catalog.current_setting('shared_preload_libraries', true) IS NULL THEN NULL
            ELSE %(extension)s = ANY (ARRAY(
              SELECT pg_catalog.btrim(x, ' "') FROM pg_catalog.unnest(pg_catalog.string_to_array(
                pg_catalog.current_setting('shared_preload_libraries', true), ',')) x)) END
         AS preloaded,
       l.nspname IS NOT NULL AS lab,
       EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'jsonb_delta') AS jsonb_delta
FROM (VALUES (1)) one
LEFT JOIN pg_catalog.pg_extension e ON e.extname = %(extension)s
LEFT JOIN pg_catalog.pg_namespace l
       ON e.oid IS NULL AND pg_catalog.obj_description(l.oid, 'pg_namespace') LIKE 'pgtv lab%%'
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = COALESCE(e.extnamespace, l.oid)
LEFT JOIN pg_catalog.pg_roles r ON r.oid = COALESCE(e.extowner, l.nspowner)
LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = %(extension)s
LIMIT 1
"""

PROBES = """
SELECT p.key
FROM ROWS FROM (pg_catalog.unnest(%(keys)s::text[]), pg_catalog.unnest(%(relations)s::text[]),
                pg_catalog.unnest(%(columns)s::text[])) AS p(key, relation, "column")
JOIN pg_catalog.pg_namespace n ON n.nspname = %(schema)s
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.relation
JOIN pg_catalog.pg_attribute a
  ON a.attrelid = c.oid AND a.attname = p."column" AND NOT a.attisdropped
"""

# Reading these would wait. A prepared transaction has no process, but is found all the same.
CATALOG_LOCKS = """
SELECT CASE WHEN l.locktype = 'relation' THEN l.relation::int8
            WHEN l.locktype = 'advisory' THEN l.classid::int8 END AS relation,
       l.mode, l.granted, l.pid, p.gid, l.locktype = 'advisory' AS advisory,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::float8 AS wait_seconds,
       CASE l.locktype WHEN 'transactionid' THEN l.transactionid::text
                       WHEN 'advisory' THEN pg_catalog.concat_ws('/', l.classid, l.objid, l.objsubid)
       END AS target
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_prepared_xacts p
  ON l.pid IS NULL AND p.transaction::text = pg_catalog.split_part(l.virtualtransaction, '/', 2)
WHERE l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND (l.database = (SELECT oid FROM pg_catalog.pg_database
                      WHERE datname = pg_catalog.current_database())
       AND (l.locktype = 'relation' AND l.relation::int8 = ANY (%(rels)s::int8[])
            OR l.locktype = 'advisory' AND l.objsubid IN (21622, 21623))
       OR l.locktype = 'transactionid' AND NOT l.granted)
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
                     WHERE l.relation::int8 = ANY (%(rels)s::int8[])))
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

SLOTS = """
SELECT s.slot_name::text AS name, s.slot_type AS type, s.active, s.database::text AS database,
       s.wal_status,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::int8
       END AS retained_bytes,
       GREATEST(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin)) AS xmin_age,
       s.plugin::text AS plugin
FROM pg_catalog.pg_replication_slots s
ORDER BY s.slot_name
"""

REPLICAS = """
SELECT r.application_name AS name, r.state, r.sync_state,
       EXTRACT(epoch FROM r.replay_lag)::float8 AS replay_lag_seconds,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)::int8
       END AS replay_lag_bytes
FROM pg_catalog.pg_stat_replication r
ORDER BY r.application_name, r.pid
"""

STANDBY = """
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_wal_receiver) AS receiving,
       pg_catalog.pg_is_wal_replay_paused() AS replay_paused,
       CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
            ELSE EXTRACT(epoch FROM pg_catalog.clock_timestamp()
                                    - pg_catalog.pg_last_xact_replay_timestamp()) END::float8
         AS replay_lag_seconds,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(),
                                  pg_catalog.pg_last_wal_replay_lsn())::int8 AS replay_lag_bytes,
       (SELECT confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock
          FROM pg_catalog.pg_stat_database_conflicts
         WHERE datname = pg_catalog.current_database())::int4 AS conflicts
"""

# subconninfo is not read: it may hold a password, and only superusers may see it anyway.
SUBSCRIPTIONS = """
SELECT s.subname::text AS name, s.subenabled AS enabled,
       COALESCE(pg_catalog.array_agg(r.srrelid::int8 ORDER BY r.srrelid)
                FILTER (WHERE r.srrelid::int8 = ANY (%(rels)s::int8[])), '{}') AS relations
FROM pg_catalog.pg_subscription s
LEFT JOIN pg_catalog.pg_subscription_rel r ON r.srsubid = s.oid
WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database
                    WHERE datname = pg_catalog.current_database())
GROUP BY s.subname, s.subenabled
ORDER BY 1
"""

PUBLICATIONS = """
SELECT p.pubname::text AS name, p.puballtables AS all_tables,
       COALESCE(pg_catalog.array_agg(r.prrelid::int8 ORDER BY r.prrelid)
                FILTER (WHERE r.prrelid::int8 = ANY (%(rels)s::int8[])), '{}') AS relations
FROM pg_catalog.pg_publication p
LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
GROUP BY p.pubname, p.puballtables
ORDER BY 1
"""

ARCHIVER = """
SELECT pg_catalog.current_setting('archive_mode') AS mode, archived_count AS archived,
       failed_count AS failed, last_archived_time::text AS last_archived,
       last_failed_time::text AS last_failed
FROM pg_catalog.pg_stat_archiver
"""

HAS_STATE = """
SELECT pg_catalog.to_regclass('pgtv.verification') IS NOT NULL AS present
"""

# The newest of each table; of this database only, so that a restored copy does not boast.
VERIFICATIONS = """
SELECT DISTINCT ON (v.table_name) v.table_name, v.verified_at::text AS verified_at,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - v.verified_at)::float8 AS age_seconds,
       v.differing, v.rows, v.table_oid::int8 AS table_oid
FROM pgtv.verification v
ORDER BY v.table_name, v.verified_at DESC
"""

VIEWDEFS = """
SELECT c.oid::int8 AS oid, pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class c
WHERE c.oid::int8 = ANY (%(views)s::int8[]) AND c.relkind IN ('v', 'm')
"""

TRIGGERDEFS = """
SELECT t.oid::int8 AS oid, pg_catalog.pg_get_triggerdef(t.oid) AS definition
FROM pg_catalog.pg_trigger t WHERE t.oid::int8 = ANY (%(triggers)s::int8[])
"""
