-- Size, dead rows and share of HOT updates of each TVIEW, by the last statistics; locks nothing.
SELECT r.schema, r.name, pg_catalog.pg_size_pretty(c.relpages::bigint * 8192) AS heap,
       s.n_live_tup AS live, s.n_dead_tup AS dead,
       pg_catalog.round(100.0 * s.n_dead_tup / NULLIF(s.n_live_tup + s.n_dead_tup, 0), 1) AS dead_percent,
       pg_catalog.round(100.0 * s.n_tup_hot_upd / NULLIF(s.n_tup_upd, 0), 1) AS hot_percent,
       GREATEST(s.last_vacuum, s.last_autovacuum) AS last_vacuum
FROM tviews.registry r
JOIN pg_catalog.pg_class c ON c.relname = r.name
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = r.schema
LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
ORDER BY c.relpages DESC;
