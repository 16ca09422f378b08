"""What pgtv itself wrote down in the schema that `pgtv init` makes."""

from __future__ import annotations

HAS_STATE = """
SELECT pg_catalog.to_regclass('pgtv.verification') IS NOT NULL AS present,
       pg_catalog.to_regclass('pgtv.lease_trigger') IS NOT NULL AS leases
"""

# The newest of each table; of this database only, so that a restored copy does not boast.
VERIFICATIONS = """
SELECT DISTINCT ON (v.table_name) v.table_name, v.verified_at::text AS verified_at,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - v.verified_at)::float8 AS age_seconds,
       v.differing, v.rows, v.table_oid::int8 AS table_oid
FROM pgtv.verification v
WHERE v.system_identifier = (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c)
  AND v.database_oid = (SELECT d.oid FROM pg_catalog.pg_database d
                         WHERE d.datname = pg_catalog.current_database())
ORDER BY v.table_name, v.verified_at DESC
"""

# Those that hold a trigger or owe rows; of this database only, as above.
LEASES = """
SELECT l.id, l.taken_at::text AS taken_at, l.until::text AS until,
       EXTRACT(epoch FROM l.until - pg_catalog.clock_timestamp())::float8 AS remaining_seconds,
       l.reason, l.taken_by::text AS taken_by, l.entities, l.owed, l.enabled_at::text AS enabled_at,
       l.enabled_by::text AS enabled_by, h.triggers
FROM pgtv.lease l
CROSS JOIN LATERAL (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
             'entity', t.entity, 'relation', t.relation::int8, 'relation_name', t.relation_name,
             'trigger', t.trigger::int8, 'name', t.trigger_name, 'enabled', t.enabled)
             ORDER BY t.relation_name, t.trigger_name) AS triggers
  FROM pgtv.lease_trigger t WHERE t.lease = l.id) h
WHERE (h.triggers IS NOT NULL OR l.owed <> '{}')
  AND l.system_identifier = (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c)
  AND l.database_oid = (SELECT d.oid FROM pg_catalog.pg_database d
                         WHERE d.datname = pg_catalog.current_database())
ORDER BY l.id
"""
