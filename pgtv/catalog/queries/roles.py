"""Roles and what was granted to them."""

from __future__ import annotations

GRANTS = r"""
SELECT c.oid::int8 AS relation, COALESCE(r.rolname::text, 'PUBLIC') AS grantee,
       a.privilege_type AS privilege, pg_catalog.bool_or(a.is_grantable) AS grantable
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT x.* FROM pg_catalog.aclexplode(c.relacl) x
  UNION ALL
  SELECT x.* FROM pg_catalog.pg_attribute b
  CROSS JOIN LATERAL pg_catalog.aclexplode(b.attacl) x
  WHERE b.attrelid = c.oid AND b.attacl IS NOT NULL AND NOT b.attisdropped
    AND x.privilege_type <> 'SELECT'
) a
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE c.oid = ANY (%(rels)s::oid[]) AND a.grantee <> c.relowner
  AND (n.nspname = %(ext_schema)s OR c.relname LIKE 'tv\_%%'
       OR c.oid = ANY (%(known)s::oid[]))
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""

DEFAULT_GRANTS = """
SELECT o.rolname::text AS owner, n.nspname::text AS schema,
       COALESCE(g.rolname::text, 'PUBLIC') AS grantee,
       pg_catalog.array_agg(a.privilege_type ORDER BY a.privilege_type) AS privileges
FROM pg_catalog.pg_default_acl d
JOIN pg_catalog.pg_roles o ON o.oid = d.defaclrole
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a
LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee
WHERE d.defaclobjtype = 'r' AND a.grantee <> d.defaclrole
  AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_class c
               WHERE c.oid = ANY (%(tables)s::oid[]) AND c.relowner = d.defaclrole
                 AND d.defaclnamespace IN (0, c.relnamespace))
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""

ROLES = """
SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypass_rls,
       r.rolcanlogin AS can_login
FROM pg_catalog.pg_roles r
WHERE r.oid IN (SELECT relowner FROM pg_catalog.pg_class
                 WHERE oid = ANY (%(rels)s::oid[])
                UNION ALL
                SELECT p.proowner FROM pg_catalog.pg_rewrite w
                JOIN pg_catalog.pg_depend d
                  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
                 AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
                 WHERE w.ev_class = ANY (%(rels)s::oid[]))
ORDER BY 1
"""
