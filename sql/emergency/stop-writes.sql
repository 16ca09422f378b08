-- Let new sessions of this database only read, and name the sessions that may still write.
--
--   psql -d DB -X -f stop-writes.sql            (as a superuser or the owner of the database)
--
-- Sessions that are connected keep writing until they are ended: by the statements that are printed, when
-- you mean it. A session can still choose to write: this stops applications, not attackers, and whoever
-- repairs meanwhile types first: export PGOPTIONS='-c default_transaction_read_only=off'
-- allow-writes.sql takes it back.
\set ON_ERROR_STOP on
\set QUIET on
SET default_transaction_read_only = off;
SELECT format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()) \gexec
SELECT pid, usename, application_name, state, xact_start,
       format('SELECT pg_terminate_backend(%s);', pid) AS to_end_it
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY xact_start NULLS LAST;
