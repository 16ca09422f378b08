-- Save what will be gone after a restart, before anything is cured: one CSV file each, in the current
-- directory. Needs pg_monitor for others' queries; looks only, waits for nothing.
--
--   mkdir evidence && cd evidence && psql -d DB -X -f …/save-evidence.sql
--
-- The queries of sessions may hold personal data: keep the files as you keep the database.
-- Beside it: pgtv snapshot save evidence.json, and the tail of the server's log.
-- What cannot be saved is named, the rest is saved, and psql then exits with 3.
\set QUIET on
-- one that fails must end neither the script nor the transaction, which holds all to one moment
\set ON_ERROR_STOP off
\set ON_ERROR_ROLLBACK on
\set saved ''
\set failed ''
\set incomplete false
-- ERROR is set before each, for a file that cannot be written: psql then asks the server nothing
SET search_path = pg_catalog, pg_temp;
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

\set ERROR true
\copy (SELECT now() AS saved_at, version(), current_database(), pg_is_in_recovery(), pg_postmaster_start_time()) TO 'server.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' server'
\else
  \set saved :saved ' server'
\endif

\set ERROR true
\copy (SELECT * FROM pg_stat_activity) TO 'activity.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' activity'
\else
  \set saved :saved ' activity'
\endif

\set ERROR true
\copy (SELECT * FROM pg_locks) TO 'locks.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' locks'
\else
  \set saved :saved ' locks'
\endif

\set ERROR true
\copy (SELECT * FROM pg_prepared_xacts) TO 'prepared.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' prepared'
\else
  \set saved :saved ' prepared'
\endif

\set ERROR true
\copy (SELECT * FROM pg_stat_replication) TO 'replication.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' replication'
\else
  \set saved :saved ' replication'
\endif

\set ERROR true
\copy (SELECT slot_name, slot_type, active, wal_status, restart_lsn FROM pg_replication_slots) TO 'slots.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' slots'
\else
  \set saved :saved ' slots'
\endif

\set ERROR true
\copy (SELECT * FROM pg_stat_database WHERE datname = current_database()) TO 'database.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' database'
\else
  \set saved :saved ' database'
\endif

\set ERROR true
\copy (SELECT * FROM pg_stat_user_tables) TO 'tables.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' tables'
\else
  \set saved :saved ' tables'
\endif

\set ERROR true
\copy (SELECT tgrelid::regclass AS relation, tgname, tgenabled, tgtype FROM pg_trigger WHERE NOT tgisinternal) TO 'triggers.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' triggers'
\else
  \set saved :saved ' triggers'
\endif

-- not by a query: where the extension is gone, a view of that name would run whatever somebody put in it
\set ERROR true
\copy tviews.pg_tview_meta TO 'registrations.csv' CSV HEADER
\if :ERROR
  \set incomplete true
  \set failed :failed ' registrations'
\else
  \set saved :saved ' registrations'
\endif

ROLLBACK;
\echo saved as CSV::saved
\if :incomplete
  \warn NOT saved::failed
  \set ON_ERROR_STOP on
  DO $$BEGIN RAISE EXCEPTION 'not everything could be saved'; END$$;
\endif
