-- Give the triggers that disable-triggers.sql disabled their states of before, in one transaction.
--
--   psql -d DB -X -f enable-triggers.sql -f refresh-all.sql
--
-- The second file brings the rows missed meanwhile: without it TVIEWs stay wrong for ever.
\set ON_ERROR_STOP on
\set QUIET on
SET default_transaction_read_only = off;  -- also while stop-writes.sql is in force
SET lock_timeout = '5s';
SET client_min_messages = warning;
SET search_path = pg_catalog, pg_temp;
SELECT to_regclass('pgtv_emergency.disabled_trigger') IS NULL AS nothing \gset
\if :nothing
\echo nothing was disabled by disable-triggers.sql: doctor names other disabled triggers and their cure
\quit
\endif
BEGIN;
-- ONLY: a copy on a partition has a state of its own, recorded or left as it was
SELECT format('ALTER TABLE ONLY %s %s', d.relation, string_agg(format('%s TRIGGER %I',
              CASE d.enabled WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS'
                             ELSE 'ENABLE' END, d.trigger), ', ' ORDER BY d.trigger))
FROM pgtv_emergency.disabled_trigger d
JOIN pg_trigger t ON t.tgrelid = d.relation AND t.tgname = d.trigger
GROUP BY d.relation
ORDER BY d.relation::oid
\gexec
SELECT count(*) AS triggers_enabled FROM pgtv_emergency.disabled_trigger;
DROP SCHEMA pgtv_emergency CASCADE;
COMMIT;
\echo now bring the rows missed meanwhile: psql -X -f refresh-all.sql
