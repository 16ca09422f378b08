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
SET quote_all_identifiers = off;
SELECT to_regclass('pgtv_emergency.disabled_trigger') IS NULL AS nothing \gset
\if :nothing
\echo nothing was disabled by disable-triggers.sql: doctor names other disabled triggers and their cure
\quit
\endif
BEGIN;
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
-- ONLY: a copy on a partition has a state of its own, recorded or left as it was
SELECT format('ALTER TABLE ONLY %s %s', d.relation, string_agg(format('%s TRIGGER %I',
              CASE d.enabled WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS'
                             ELSE 'ENABLE' END, d.trigger), ', ' ORDER BY d.trigger))
FROM ONLY pgtv_emergency.disabled_trigger d
JOIN pg_trigger t ON t.tgrelid = d.relation AND t.tgname = d.trigger
GROUP BY d.relation
ORDER BY d.relation::oid
\gexec
SELECT count(*) AS triggers_enabled FROM ONLY pgtv_emergency.disabled_trigger;
DROP SCHEMA pgtv_emergency CASCADE;
COMMIT;
\echo now bring the rows missed meanwhile: psql -X -f refresh-all.sql
