-- Who waits on the tables of TVIEWs, for what, and who stands in the way; prepared transactions too,
-- of which pg_blocking_pids only says 0. Needs pg_monitor to see others' queries. Waits for nothing.
\set QUIET on
SET search_path = pg_catalog, pg_temp;
WITH held AS MATERIALIZED (SELECT * FROM pg_locks), prepared AS (
  SELECT h.virtualtransaction, p.gid, p.prepared, p.transaction
  FROM held h JOIN pg_prepared_xacts p ON p.transaction = h.transactionid
  WHERE h.locktype = 'transactionid' AND h.granted AND h.pid IS NULL
)
SELECT w.pid AS waits, now() - w.waitstart AS since, w.mode AS wants,
       COALESCE(w.relation::regclass::text, w.locktype) AS on,
       left(a.query, 60) AS query,
       COALESCE(string_agg(DISTINCT b::text, ', ') FILTER (WHERE b <> 0), '') AS behind_pids,
       COALESCE(string_agg(DISTINCT p.gid, ', '), '') AS behind_prepared
FROM held w
JOIN pg_stat_activity a ON a.pid = w.pid AND a.datname = current_database()
LEFT JOIN LATERAL unnest(pg_blocking_pids(w.pid)) b ON true
LEFT JOIN held h ON h.pid IS NULL AND h.granted
  AND (w.locktype = 'relation' AND h.locktype = 'relation' AND h.relation = w.relation
       AND h.database = w.database
       OR w.locktype = 'transactionid' AND h.locktype = 'transactionid'
       AND h.transactionid = w.transactionid
       OR w.locktype = 'advisory' AND h.locktype = 'advisory' AND h.classid = w.classid
       AND h.objid = w.objid AND h.objsubid = w.objsubid AND h.database = w.database)
LEFT JOIN prepared p ON p.virtualtransaction = h.virtualtransaction AND b = 0
WHERE NOT w.granted
GROUP BY w.pid, w.waitstart, w.mode, w.relation, w.locktype, a.query
ORDER BY since DESC;
