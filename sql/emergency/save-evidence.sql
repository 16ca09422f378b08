-- Save what will be gone after a restart, before anything is cured: one CSV file each, in the current
-- directory. Needs pg_monitor for others' queries; looks only, waits for nothing.
--
--   mkdir evidence && cd evidence && psql -d DB -X -f …/save-evidence.sql
--
-- The queries of sessions may hold personal data: keep the files as you keep the database.
-- Beside it: pgtv snapshot save evidence.json, and the tail of the server's log.
\set QUIET on
SET search_path = pg_catalog, pg_temp;
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
\copy (SELECT now() AS saved_at, version(), current_database(), pg_is_in_recovery(), pg_postmaster_start_time()) TO 'server.csv' CSV HEADER
\copy (SELECT * FROM pg_stat_activity) TO 'activity.csv' CSV HEADER
\copy (SELECT * FROM pg_locks) TO 'locks.csv' CSV HEADER
\copy (SELECT * FROM pg_prepared_xacts) TO 'prepared.csv' CSV HEADER
\copy (SELECT * FROM pg_stat_replication) TO 'replication.csv' CSV HEADER
\copy (SELECT slot_name, slot_type, active, wal_status, restart_lsn FROM pg_replication_slots) TO 'slots.csv' CSV HEADER
\copy (SELECT * FROM pg_stat_database WHERE datname = current_database()) TO 'database.csv' CSV HEADER
\copy (SELECT * FROM pg_stat_user_tables) TO 'tables.csv' CSV HEADER
\copy (SELECT tgrelid::regclass AS relation, tgname, tgenabled, tgtype FROM pg_trigger WHERE NOT tgisinternal) TO 'triggers.csv' CSV HEADER
\copy (SELECT * FROM tviews.pg_tview_meta) TO 'registrations.csv' CSV HEADER
ROLLBACK;
\echo server, activity, locks, prepared, replication, slots, database, tables, triggers and registrations saved as CSV
