-- Triggers of TVIEWs that do not fire in ordinary sessions. Should give no row.
SELECT t.tgrelid::pg_catalog.regclass AS relation, t.tgname AS trigger,
       CASE t.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica only' ELSE 'always' END AS state
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'tviews' AND p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype
  AND t.tgenabled <> 'O'
ORDER BY 1, 2;
