-- Prepared transactions of the cluster, oldest first. Older than an hour is an orphan.
SELECT p.gid, p.database, p.owner, pg_catalog.now() - p.prepared AS age,
       pg_catalog.age(p.transaction) AS transactions_since
FROM pg_catalog.pg_prepared_xacts p
ORDER BY p.prepared;
