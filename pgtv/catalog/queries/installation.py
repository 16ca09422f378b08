"""The extension as installed: objects, privileges, event triggers, and what is left of it."""

from __future__ import annotations

# A stand-in counts only where all of it that is read or called is a superuser's, or the login's own:
# anybody who may create in the database can make a schema with that comment.
EXTENSION = r"""
WITH lab AS (
  SELECT n.*, r.rolname, (r.rolsuper OR r.rolname = SESSION_USER)
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc p
                       WHERE p.pronamespace = n.oid AND p.proowner <> n.nspowner
                         -- its functions for single TVIEWs are the owners' of these
                         AND p.proname NOT LIKE 'lab\_%%')
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c
                       WHERE c.relnamespace = n.oid AND c.relowner <> n.nspowner
                         AND c.relname = ANY (%(lab_relations)s::text[])) AS trusted
  FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
  WHERE pg_catalog.obj_description(n.oid, 'pg_namespace') LIKE 'pgtv lab%%'
)
SELECT e.oid IS NOT NULL AS installed, e.extversion AS version, n.nspname::text AS schema,
       r.rolname::text AS owner, a.default_version,
       ARRAY(SELECT v.version FROM pg_catalog.pg_available_extension_versions v
              WHERE v.name = %(extension)s ORDER BY v.version) AS versions,
       s.setting AS preload_libraries,
       CASE WHEN s.setting IS NOT NULL THEN %(extension)s = ANY (ARRAY(
              SELECT pg_catalog.regexp_replace(pg_catalog.btrim(x, ' "'), '^.*/|\.so$', '', 'g')
                FROM pg_catalog.unnest(pg_catalog.string_to_array(s.setting, ',')) x)) END
         AS preloaded,
       o.nspname IS NOT NULL AS schema_left,
       l.nspname IS NOT NULL AS lab,
       (SELECT pg_catalog.format('schema %%I, owner %%s', x.nspname, x.rolname) FROM lab x
         WHERE e.oid IS NULL AND NOT x.trusted ORDER BY 1 LIMIT 1) AS lab_of_others,
       ARRAY(SELECT DISTINCT COALESCE(g.rolname::text, 'PUBLIC')
               FROM pg_catalog.aclexplode(n.nspacl) x
               LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
              WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner
              ORDER BY 1) AS creators,
       EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'jsonb_delta') AS jsonb_delta
FROM (VALUES (1)) one
LEFT JOIN pg_catalog.pg_extension e ON e.extname = %(extension)s
LEFT JOIN lab l ON e.oid IS NULL AND l.trusted
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = COALESCE(e.extnamespace, l.oid)
LEFT JOIN pg_catalog.pg_roles r ON r.oid = COALESCE(e.extowner, l.nspowner)
LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = %(extension)s
-- the view hides what a role may not see, where current_setting would raise
LEFT JOIN pg_catalog.pg_settings s ON s.name = 'shared_preload_libraries'
LEFT JOIN pg_catalog.pg_namespace o
       ON e.oid IS NULL AND l.oid IS NULL AND o.nspname = %(usual_schema)s
LIMIT 1
"""

PROBES = """
SELECT p.key
FROM ROWS FROM (pg_catalog.unnest(%(keys)s::text[]), pg_catalog.unnest(%(relations)s::text[]),
                pg_catalog.unnest(%(columns)s::text[])) AS p(key, relation, "column")
JOIN pg_catalog.pg_namespace n ON n.nspname = %(schema)s
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.relation
JOIN pg_catalog.pg_attribute a
  ON a.attrelid = c.oid AND a.attname = p."column" AND NOT a.attisdropped
"""

# Reading these would wait. A prepared transaction has no process, but is found all the same.
CATALOG_LOCKS = """
SELECT c.relname::text AS name,
       pg_catalog.min(COALESCE('process ' || l.pid, 'a prepared transaction')) AS holder
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database
                     WHERE datname = pg_catalog.current_database())
  AND n.nspname IN (%(schema)s, 'pgtv')
GROUP BY c.relname
"""

# What was granted on the extension's objects, or taken away, since its script ran.
EXTENSION_PRIVILEGES = """
WITH ext AS (SELECT oid FROM pg_catalog.pg_extension WHERE extname = %(extension)s
), objects AS (
  SELECT d.classid, d.objid, pg_catalog.format('FUNCTION %%s', p.oid::pg_catalog.regprocedure)
         AS object, 'f'::"char" AS kind, p.proowner AS owner, p.proacl AS acl
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.objid
  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'
    AND d.refobjid = (SELECT oid FROM ext)
  UNION ALL
  SELECT d.classid, d.objid, pg_catalog.format('TABLE %%I.%%I', n.nspname, c.relname), 'r',
         c.relowner, c.relacl
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
    AND d.refobjid = (SELECT oid FROM ext) AND c.relkind IN ('r', 'v', 'p')
  UNION ALL
  SELECT d.classid, d.objid, pg_catalog.format('SCHEMA %%I', n.nspname), 'n', n.nspowner, n.nspacl
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.objid
  WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.deptype = 'e'
    AND d.refobjid = (SELECT oid FROM ext)
), now AS (
  SELECT o.object, x.grantee, x.privilege_type, x.is_grantable FROM objects o
  CROSS JOIN LATERAL pg_catalog.aclexplode(
    COALESCE(o.acl, pg_catalog.acldefault(o.kind, o.owner))) x
  WHERE x.grantee <> o.owner
), initial AS (
  SELECT o.object, x.grantee, x.privilege_type, x.is_grantable FROM objects o
  LEFT JOIN pg_catalog.pg_init_privs i
    ON i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = 0
  CROSS JOIN LATERAL pg_catalog.aclexplode(
    COALESCE(i.initprivs, pg_catalog.acldefault(o.kind, o.owner))) x
  WHERE x.grantee <> o.owner
), changed AS (
  (SELECT true AS given, n.* FROM (SELECT * FROM now EXCEPT SELECT * FROM initial) n)
  UNION ALL
  (SELECT false, i.* FROM (SELECT * FROM initial EXCEPT SELECT * FROM now) i)
)
SELECT c.object, COALESCE(r.rolname::text, 'PUBLIC') AS grantee, c.privilege_type AS privilege,
       c.is_grantable AS grantable, c.given
FROM changed c LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.grantee
WHERE c.grantee = 0 OR r.oid IS NOT NULL
ORDER BY 1, 2, 3, 5
"""

MISSING_OBJECTS = """
SELECT x.name FROM pg_catalog.unnest(%(names)s::text[]) AS x(name)
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c
                  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = %(schema)s AND c.relname = x.name)
UNION ALL
SELECT x.name || '()' FROM pg_catalog.unnest(%(functions)s::text[]) AS x(name)
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc p
                  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                  WHERE n.nspname = %(schema)s AND p.proname = x.name)
"""

EVENT_TRIGGERS = """
SELECT t.evtname::text AS name, t.evtevent::text AS event, t.evtenabled::text AS enabled,
       pg_catalog.format('%%I.%%I', n.nspname, p.proname) AS function, r.rolname::text AS owner
FROM pg_catalog.pg_event_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.evtfoid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_roles r ON r.oid = t.evtowner
ORDER BY t.evtname
"""

LEFTOVERS = r"""
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relname LIKE 'tv\_%%'
  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
ORDER BY 1
"""
