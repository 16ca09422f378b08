"""What pgtv itself wrote down in the schema that `pgtv init` makes."""

from __future__ import annotations

# By catalog, not to_regclass: that one fails where the schema may not be used.
KEPT = """
SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp())::float8 AS now,
       ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c
              WHERE c.relnamespace = n.oid AND c.relkind = 'r') AS tables,
       ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c
              WHERE c.relnamespace = n.oid AND c.relkind <> 'r') AS others,
       r.rolname::text AS owner
FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
WHERE n.nspname = %(schema)s
"""
