-- UNLOGGED TVIEWs: empty after a crash or a promotion, unreadable on a standby.
SELECT r.schema, r.name, s.n_live_tup AS rows_estimated
FROM tviews.registry r
JOIN pg_catalog.pg_class c ON c.relname = r.name AND c.relpersistence = 'u'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = r.schema
LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
ORDER BY 1, 2;
