-- Standbys and slots as the primary sees them: lag in seconds and bytes, WAL kept for nobody.
SELECT 'standby' AS kind, r.application_name AS name, r.state, r.replay_lag,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn) AS bytes
FROM pg_catalog.pg_stat_replication r
UNION ALL
SELECT 'slot', s.slot_name, COALESCE(s.wal_status, '') || CASE WHEN s.active THEN '' ELSE ', idle' END,
       NULL, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)
FROM pg_catalog.pg_replication_slots s
ORDER BY 1, 2;
