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
SET quote_all_identifiers = off;
BEGIN;
SELECT to_regnamespace('pgtv_emergency') IS NULL AS nothing \gset
\if :nothing
CREATE SCHEMA pgtv_emergency;
CREATE TABLE pgtv_emergency.disabled_trigger (
    relation regclass NOT NULL,
    trigger name NOT NULL,
    enabled "char" NOT NULL,              -- O, R or A: pg_trigger.tgenabled of before
    disabled_at timestamptz NOT NULL DEFAULT now(),
    disabled_by name NOT NULL DEFAULT SESSION_USER,
    PRIMARY KEY (relation, trigger)
);
\endif
-- Schema and table may stand already, of an earlier run or of somebody who planted them: nothing is read
-- or written there unless it is, under this lock, what these files make and nobody else's.
DO $check$
DECLARE
    kept regclass := to_regclass('pgtv_emergency.disabled_trigger');
    stranger name;
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = kept AND c.relkind = 'r') THEN
        LOCK TABLE ONLY pgtv_emergency.disabled_trigger IN SHARE ROW EXCLUSIVE MODE;
        kept := to_regclass('pgtv_emergency.disabled_trigger');
    END IF;
    SELECT r.rolname INTO stranger
    FROM (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'pgtv_emergency'
          UNION ALL SELECT c.relowner FROM pg_class c WHERE c.oid = kept) AS o(oid)
    JOIN pg_roles r ON r.oid = o.oid
    WHERE NOT r.rolsuper AND r.rolname <> CURRENT_USER LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the schema pgtv_emergency, or its table, belongs to %, who is no superuser',
                        stranger
        USING HINT = 'Run this as that role if it disabled the triggers; if nobody knows why it is there:'
                     ' DROP SCHEMA pgtv_emergency CASCADE.';
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_class c
        WHERE c.oid = kept AND c.relkind = 'r' AND c.reloftype = 0 AND c.relchecks = 0
          AND NOT (c.relhastriggers OR c.relhasrules OR c.relhassubclass OR c.relrowsecurity
                   OR c.relispartition)
    ) OR EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = kept
          AND (NOT i.indisprimary OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
    ) OR EXISTS (
        SELECT FROM pg_statistic_ext s WHERE s.stxrelid = kept
    ) OR (
        SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
                                    pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attnum)
        FROM pg_attribute a
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = kept AND a.attnum > 0 AND NOT a.attisdropped
    ) IS DISTINCT FROM 'relation regclass, trigger name, enabled "char",'
                       ' disabled_at timestamp with time zone now(), disabled_by name SESSION_USER'
    THEN
        RAISE EXCEPTION 'pgtv_emergency.disabled_trigger is not what disable-triggers.sql makes'
        USING HINT = 'See what was added to it (\d+ pgtv_emergency.*), and take that away.';
    END IF;
END $check$;
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
FROM ONLY pgtv_emergency.disabled_trigger d
JOIN pg_trigger t ON t.tgrelid = d.relation AND t.tgname = d.trigger AND t.tgenabled <> 'D'
GROUP BY d.relation
ORDER BY d.relation::oid
\gexec
COMMIT;
SELECT count(*) AS triggers_disabled, count(DISTINCT relation) AS tables,
       min(disabled_at) AS since FROM ONLY pgtv_emergency.disabled_trigger;
