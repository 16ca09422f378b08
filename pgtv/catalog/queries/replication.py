"""Slots, standbys, subscriptions, publications and the archive."""

from __future__ import annotations

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
         WHERE datname = pg_catalog.current_database())::int4 AS conflicts,
       COALESCE((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),
                (SELECT NULLIF(min_recovery_end_timeline, 0) FROM pg_catalog.pg_control_recovery()),
                (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())) AS timeline,
       pg_catalog.pg_last_xact_replay_timestamp()::text AS last_commit
"""

# subconninfo is not read: it may hold a password, and only superusers may see it anyway.
SUBSCRIPTIONS = """
SELECT s.subname::text AS name, s.subenabled AS enabled,
       COALESCE(pg_catalog.array_agg(r.srrelid::int8 ORDER BY r.srrelid)
                FILTER (WHERE r.srrelid = ANY (%(rels)s::oid[])), '{}') AS relations
FROM pg_catalog.pg_subscription s
LEFT JOIN pg_catalog.pg_subscription_rel r ON r.srsubid = s.oid
WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database
                    WHERE datname = pg_catalog.current_database())
GROUP BY s.subname, s.subenabled
ORDER BY 1
"""

# UPDATE and DELETE need the replica identity: a row filter may read no other column, and a list of
# columns has to hold it whole.
PUBLICATIONS = """
WITH identity AS (
  SELECT c.oid AS relation, c.relreplident AS kind, i.indkey::int2[] AS columns
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
   AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
  WHERE c.oid = ANY (%(rels)s::oid[])
)
SELECT p.pubname::text AS name, p.puballtables AS all_tables,
       ARRAY(SELECT r.prrelid::int8 FROM pg_catalog.pg_publication_rel r
              WHERE r.prpubid = p.oid AND r.prrelid = ANY (%(rels)s::oid[])
             UNION
             SELECT c.oid::int8 FROM pg_catalog.pg_publication_namespace s
             JOIN pg_catalog.pg_class c ON c.relnamespace = s.pnnspid AND c.relkind IN ('r', 'p')
              WHERE s.pnpubid = p.oid AND c.oid = ANY (%(rels)s::oid[])
             ORDER BY 1) AS relations,
       p.pubupdate OR p.pubdelete AS updates,
       -- a column in both filter and list has two rows in pg_depend
       ARRAY(SELECT r.prrelid::int8 FROM pg_catalog.pg_publication_rel r
             JOIN identity i ON i.relation = r.prrelid AND i.kind <> 'f'
              WHERE r.prpubid = p.oid AND r.prqual IS NOT NULL AND EXISTS (
                SELECT 1 FROM pg_catalog.pg_depend d
                 WHERE d.classid = 'pg_catalog.pg_publication_rel'::pg_catalog.regclass
                   AND d.objid = r.oid AND d.refobjid = r.prrelid AND d.refobjsubid > 0
                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                   AND (i.columns IS NULL OR d.refobjsubid <> ALL (i.columns))
                 GROUP BY d.refobjsubid
                HAVING count(*) > CASE WHEN d.refobjsubid = ANY (r.prattrs::int2[]) THEN 1 ELSE 0 END)
             ORDER BY 1) AS filters_other,
       ARRAY(SELECT r.prrelid::int8 FROM pg_catalog.pg_publication_rel r
             JOIN identity i ON i.relation = r.prrelid
              WHERE r.prpubid = p.oid AND r.prattrs IS NOT NULL
                AND (i.kind = 'f' OR NOT i.columns <@ r.prattrs::int2[])
             ORDER BY 1) AS columns_lack
FROM pg_catalog.pg_publication p
ORDER BY 1
"""

ARCHIVER = """
SELECT pg_catalog.current_setting('archive_mode') AS mode, archived_count AS archived,
       failed_count AS failed, last_archived_time::text AS last_archived,
       last_failed_time::text AS last_failed
FROM pg_catalog.pg_stat_archiver
"""
