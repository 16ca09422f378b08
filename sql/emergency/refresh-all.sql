-- Bring the rows of every TVIEW up to date, upstream first, without keeping readers waiting.
--
--   psql -d DB -X -f refresh-all.sql            (as the role of roles/acting.sql, which owns every TVIEW)
--
-- Definitions run with the rights of their owners, as in each refresh by the extension.
-- For each TVIEW the extension's own trigger function is called by a temporary table's TRUNCATE: it
-- compares the TVIEW with its definition, writes only the rows that differ, and tells the TVIEWs that
-- embed it. No ACCESS EXCLUSIVE on any TVIEW; writers of the tables that it reads wait while one TVIEW
-- is compared. Each TVIEW is one transaction: stopped anywhere, run it again.
-- pgtv refresh --apply does the same in small batches, with writers hardly waiting.
\set ON_ERROR_STOP on
\set QUIET on
SET default_transaction_read_only = off;  -- also while stop-writes.sql is in force
SET lock_timeout = '5s';
SET client_min_messages = warning;
SET search_path = pg_catalog, pg_temp;

-- Upstream first: a TVIEW comes after those whose tables it reads.
CREATE TEMP TABLE pgtv_order ON COMMIT PRESERVE ROWS AS
WITH RECURSIVE tview AS (
  SELECT r.entity, m.table_oid::oid AS oid, r.base_tables::oid[] AS reads
  FROM tviews.registry r JOIN tviews.pg_tview_meta m USING (entity)
), step(oid, depth) AS (
  SELECT oid, 0 FROM tview
  UNION
  SELECT t.oid, s.depth + 1 FROM step s JOIN tview t ON s.oid = ANY (t.reads) AND t.oid <> s.oid
  WHERE s.depth < 100
)
SELECT t.entity, t.oid::regclass AS tview, max(s.depth) AS depth
FROM tview t JOIN step s USING (oid) GROUP BY 1, 2;

CREATE TEMP TABLE pgtv_nudge ();
SELECT x.statement
FROM pgtv_order o
CROSS JOIN LATERAL (VALUES
  (1, 'BEGIN'),
  (2, 'DROP TRIGGER IF EXISTS pgtv_nudge ON pg_temp.pgtv_nudge'),
  (3, format('CREATE TRIGGER pgtv_nudge AFTER TRUNCATE ON pg_temp.pgtv_nudge FOR EACH STATEMENT'
             ' EXECUTE FUNCTION tviews.pg_tview_truncate_trigger(%L)', o.entity)),
  (4, 'TRUNCATE pg_temp.pgtv_nudge'),
  (5, 'COMMIT'),
  (6, format('SELECT %L AS refreshed', o.tview))
) AS x(n, statement)
ORDER BY o.depth, o.entity, x.n
\gexec
DROP TABLE pg_temp.pgtv_nudge, pg_temp.pgtv_order;
