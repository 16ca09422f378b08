-- Disable every trigger of TVIEWs, all kinds of a table together, in one transaction.
--
--   psql -d DB -X -f disable-triggers.sql       (as a superuser, or the owner of the database
--                                                and of every base table)
--
-- From then on writes do not reach TVIEWs: readers see old rows until enable-triggers.sql has enabled
-- the triggers again AND brought the rows missed meanwhile. Use it when writes fail and nothing else
-- helps; it does not need the extension's library. The states of before are kept in the schema
-- pgtv_emergency, so that what was disabled already stays so. Waits at most lock_timeout for each table
-- (SHARE ROW EXCLUSIVE): behind an open transaction it fails whole, and can be run again.
\set ON_ERROR_STOP on
\set QUIET on
SET default_transaction_read_only = off;  -- also while stop-writes.sql is in force
SET lock_timeout = '5s';
SET client_min_messages = warning;
SET search_path = pg_catalog, pg_temp;
BEGIN;
CREATE SCHEMA IF NOT EXISTS pgtv_emergency;
CREATE TABLE IF NOT EXISTS pgtv_emergency.disabled_trigger (
    relation regclass NOT NULL,
    trigger name NOT NULL,
    enabled "char" NOT NULL,              -- O, R or A: pg_trigger.tgenabled of before
    disabled_at timestamptz NOT NULL DEFAULT now(),
    disabled_by name NOT NULL DEFAULT SESSION_USER,
    PRIMARY KEY (relation, trigger)
);
INSERT INTO pgtv_emergency.disabled_trigger (relation, trigger, enabled)
SELECT t.tgrelid, t.tgname, t.tgenabled
FROM pg_trigger t
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'tviews' AND t.tgenabled <> 'D' AND NOT t.tgisinternal
  AND p.proname IN ('pg_tview_trigger_handler', 'pg_tview_flush_trigger',
                    'pg_tview_truncate_trigger', 'pg_tview_delta_trigger')
ON CONFLICT DO NOTHING;
-- one ALTER TABLE a relation, in the order of OIDs, so that two runs never deadlock
SELECT format('ALTER TABLE ONLY %s %s', d.relation,
              string_agg(format('DISABLE TRIGGER %I', d.trigger), ', ' ORDER BY d.trigger))
FROM pgtv_emergency.disabled_trigger d
JOIN pg_trigger t ON t.tgrelid = d.relation AND t.tgname = d.trigger AND t.tgenabled <> 'D'
GROUP BY d.relation
ORDER BY d.relation::oid
\gexec
COMMIT;
SELECT count(*) AS triggers_disabled, count(DISTINCT relation) AS tables,
       min(disabled_at) AS since FROM pgtv_emergency.disabled_trigger;
