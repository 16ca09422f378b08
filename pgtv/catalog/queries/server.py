"""The server and its settings."""

from __future__ import annotations

from pgtv.catalog.queries.code import COMMENTS

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
            ELSE pg_catalog.pg_current_wal_lsn() END::text AS lsn,
       -- by the name of the segment: pg_control tells the new one after the next checkpoint only
       CASE WHEN NOT pg_catalog.pg_is_in_recovery()
            THEN ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(
                      pg_catalog.pg_current_wal_lsn()), 1, 8))::pg_catalog.bit(32)::int4
       END AS timeline
"""

# Values of settings that may hold secrets (conninfo, commands) are never asked for.
SETTINGS = r"""
SELECT name, setting AS value, source, pending_restart,
       CASE WHEN source = 'session' THEN reset_val END AS reset
FROM pg_catalog.pg_settings
WHERE pg_catalog.starts_with(name, %(prefix)s)
   OR name IN ('session_replication_role', 'max_locks_per_transaction', 'wal_level',
               'max_replication_slots', 'max_wal_senders', 'max_wal_size', 'archive_mode',
               'fsync', 'full_page_writes', 'default_transaction_read_only', 'autovacuum',
               'idle_in_transaction_session_timeout', 'track_counts', 'hot_standby_feedback',
               'max_slot_wal_keep_size', 'data_checksums', 'max_standby_streaming_delay',
               'default_transaction_isolation', 'lock_timeout', 'deadlock_timeout',
               'statement_timeout', 'transaction_timeout', 'quote_all_identifiers')
ORDER BY name
"""

# A function that only asks for the setting sets nothing.
_SETS_REPLICA = (
    r"\mset\s+((session|local)\s+)?session_replication_role\s*(=|\mto\M)\s*'?\mreplica\M"
    r"|\mset_config\s*[(]\s*'session_replication_role'\s*,\s*'replica'"
)

# `before`: the schemas that a fixed search_path puts before pg_catalog. `shadowing`: what stands there
# under the name and the arguments of something built in.
ROLE_SETTINGS = r"""
WITH path AS MATERIALIZED (
  SELECT DISTINCT pg_catalog.substr(c.x, 13) AS path
  FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c(x)
  WHERE c.x LIKE 'search_path=%%pg_catalog%%'
), entry AS MATERIALIZED (
  SELECT p.path, e.n, CASE WHEN e.x LIKE '"%%"'
           THEN pg_catalog.replace(pg_catalog.substr(e.x, 2, pg_catalog.length(e.x) - 2), '""', '"')
           ELSE e.x END AS schema
  FROM path p CROSS JOIN LATERAL (
    SELECT pg_catalog.btrim(x.x) AS x, x.n
    FROM pg_catalog.unnest(pg_catalog.string_to_array(p.path, ',')) WITH ORDINALITY AS x(x, n)) e
), before AS MATERIALIZED (
  SELECT e.path, n.oid AS schema FROM entry e
  JOIN entry b ON b.path = e.path AND b.schema = 'pg_catalog' AND e.n < b.n
  JOIN pg_catalog.pg_namespace n ON n.nspname = e.schema
), shadowing AS MATERIALIZED (
  SELECT p.pronamespace AS schema, p.oid::pg_catalog.regprocedure::text AS name
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_proc b ON b.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND b.proname = p.proname AND b.proargtypes = p.proargtypes
  WHERE p.pronamespace IN (SELECT schema FROM before)
  UNION ALL
  SELECT o.oprnamespace, o.oid::pg_catalog.regoperator::text
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_operator b ON b.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND b.oprname = o.oprname AND b.oprleft = o.oprleft AND b.oprright = o.oprright
  WHERE o.oprnamespace IN (SELECT schema FROM before)
)
SELECT d.datname::text AS database, r.rolname::text AS role,
       pg_catalog.split_part(c.x, '=', 1) AS name,
       pg_catalog.substr(c.x, pg_catalog.strpos(c.x, '=') + 1) AS value, NULL AS function,
       CASE WHEN c.x LIKE 'search_path=%%' THEN
         ARRAY(SELECT b.name FROM before JOIN shadowing b ON b.schema = before.schema
                WHERE before.path = pg_catalog.substr(c.x, 13) ORDER BY 1)
       ELSE '{}' END AS shadows,
       false AS in_text
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c(x)
WHERE (s.setdatabase = 0 OR d.datname = pg_catalog.current_database())
  AND (pg_catalog.split_part(c.x, '=', 1) IN
       ('session_replication_role', 'row_security', 'default_transaction_read_only',
        'event_triggers', 'search_path', 'statement_timeout', 'transaction_timeout',
        'quote_all_identifiers')
       -- by name: a setting made up by an application may hold a secret
       OR c.x ~ '^[[:alpha:]_]+[.](publish_changes|max_(queue_size|refresh_rows|propagation_depth))=')
UNION ALL
SELECT NULL, NULL, pg_catalog.split_part(c.x, '=', 1),
       pg_catalog.substr(c.x, pg_catalog.strpos(c.x, '=') + 1),
       p.oid::pg_catalog.regprocedure::text, '{}', false
FROM pg_catalog.pg_proc p CROSS JOIN LATERAL pg_catalog.unnest(p.proconfig) AS c(x)
WHERE pg_catalog.split_part(c.x, '=', 1) = 'session_replication_role'
UNION ALL
SELECT NULL, NULL, 'session_replication_role', 'replica', p.oid::pg_catalog.regprocedure::text, '{}',
       true
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname IN ('plpgsql', 'sql')
WHERE p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
  AND p.prosrc ~* 'session_replication_role'
  AND pg_catalog.regexp_replace(p.prosrc, $$@COMMENTS@$$, ' ', 'g') ~* $$@SETS@$$
  AND (p.prorettype <> 'pg_catalog.event_trigger'::pg_catalog.regtype
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_event_trigger t
                   WHERE t.evtfoid = p.oid AND t.evtenabled IN ('O', 'A')))
  AND (p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t
                   WHERE t.tgfoid = p.oid AND t.tgenabled IN ('O', 'A')))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                   WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid
                     AND e.deptype = 'e')
ORDER BY 1, 2, 3, 5
""".replace("@COMMENTS@", COMMENTS).replace("@SETS@", _SETS_REPLICA)
