-- Connections in use against those that ordinary roles may take: warning at 70 %, critical at 90 %.
SELECT pg_catalog.count(*) AS used,
       pg_catalog.current_setting('max_connections')::int
         - pg_catalog.current_setting('superuser_reserved_connections')::int AS usable,
       pg_catalog.round(100.0 * pg_catalog.count(*)
         / (pg_catalog.current_setting('max_connections')::int
            - pg_catalog.current_setting('superuser_reserved_connections')::int), 1) AS percent
FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend';
