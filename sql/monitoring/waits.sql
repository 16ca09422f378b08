-- Sessions of this database that wait for a lock longer than a second. Should give no row.
SELECT l.pid, pg_catalog.now() - l.waitstart AS waiting, l.locktype, l.mode,
       l.relation::pg_catalog.regclass AS relation, pg_catalog.pg_blocking_pids(l.pid) AS behind
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.datname = pg_catalog.current_database()
WHERE NOT l.granted AND l.waitstart < pg_catalog.now() - interval '1 second'
ORDER BY l.waitstart;
