"""Who needs to read what, so that refreshes work: one query, as the server itself would decide.

The backing view is evaluated as the TVIEW's owner. Below a view that view's owner reads, unless it is
security_invoker; functions are always called as the TVIEW's owner. The extension also reads the
tables themselves, by name and as the TVIEW's owner, to map changes to keys: that needs SELECT on
them and USAGE on their schemas whatever views stand in between.
"""

from __future__ import annotations

ACCESS = """
WITH RECURSIVE tview AS (
  SELECT c.oid AS reader, v.oid AS view, c.relowner AS role
  FROM ROWS FROM (pg_catalog.unnest(%(tables)s::int8[]), pg_catalog.unnest(%(views)s::int8[]))
       AS x(t, v)
  JOIN pg_catalog.pg_class c ON c.oid = x.t::oid
  JOIN pg_catalog.pg_class v ON v.oid = x.v::oid AND v.relkind = 'v'
), walk(reader, relation, role, inside) AS (
  SELECT t.reader, t.view, t.role, t.role FROM tview t
  UNION
  SELECT w.reader, d.refobjid, i.role, i.role
  FROM walk w
  JOIN pg_catalog.pg_class v ON v.oid = w.relation AND v.relkind = 'v'
  JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> v.oid
  CROSS JOIN LATERAL (SELECT CASE WHEN EXISTS (
      SELECT 1 FROM pg_catalog.unnest(v.reloptions) o
      WHERE o ~* '^security_invoker=(t(r(ue?)?)?|on|y(es?)?|1)$') THEN w.inside
      ELSE v.relowner END AS role) i
), read_column AS MATERIALIZED (
  SELECT DISTINCT d.refobjid AS relation, d.refobjsubid AS attnum
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
  WHERE r.ev_class IN (SELECT w.relation FROM walk w) AND d.refobjid <> r.ev_class
), needed AS (
  SELECT w.reader, w.role, w.relation, pg_catalog.bool_or(w.role = t.role) AS direct
  FROM walk w JOIN tview t ON t.reader = w.reader
  GROUP BY 1, 2, 3
  UNION
  SELECT w.reader, t.role, w.relation, true
  FROM walk w JOIN tview t ON t.reader = w.reader
  JOIN pg_catalog.pg_class c ON c.oid = w.relation AND c.relkind IN ('r', 'p')
)
SELECT r.rolname::text AS role, n.relation::int8 AS relation, n.reader::int8 AS reader,
       a.whole OR COALESCE(k.allowed, a.part) AS select,
       NOT n.direct OR pg_catalog.has_schema_privilege(n.role, c.relnamespace, 'USAGE') AS usage,
       r.rolsuper OR r.rolbypassrls
         OR pg_catalog.pg_has_role(n.role, c.relowner, 'USAGE') AND NOT c.relforcerowsecurity
         AS bypasses_rls,
       s.whole AS shown_all,
       NULL::text AS function,
       CASE WHEN a.part AND NOT a.whole THEN COALESCE(k.hidden, '{}') ELSE '{}' END AS columns,
       o.rolname::text AS owner
FROM needed n
JOIN pg_catalog.pg_class c ON c.oid = n.relation AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
JOIN pg_catalog.pg_roles r ON r.oid = n.role
JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
CROSS JOIN LATERAL (
  SELECT pg_catalog.has_table_privilege(n.role, c.oid, 'SELECT') AS whole,
         pg_catalog.has_any_column_privilege(n.role, c.oid, 'SELECT') AS part) a
CROSS JOIN LATERAL (
  -- policies that show the role every row: one says true, and none restricts. Their text is looked at as
  -- it is stored, because printing it would take a lock on the table.
  SELECT COALESCE(pg_catalog.bool_or(p.polpermissive AND p.polqual::text ~
           '^[{]CONST :consttype 16 .* :constisnull false .*:constvalue 1 [[][ 0]*1[ 0]*[]][}]$')
         AND pg_catalog.bool_and(p.polpermissive), false) AS whole
  FROM pg_catalog.pg_policy p
  WHERE c.relrowsecurity AND p.polrelid = c.oid AND p.polcmd IN ('*', 'r')
    AND EXISTS (SELECT 1 FROM pg_catalog.unnest(p.polroles) m
                WHERE m = 0 OR pg_catalog.pg_has_role(n.role, m, 'USAGE'))
) s
LEFT JOIN LATERAL (
  SELECT pg_catalog.bool_and(x.allowed) AS allowed,
         pg_catalog.array_agg(x.name ORDER BY x.name) FILTER (WHERE NOT x.allowed) AS hidden
  FROM (SELECT b.attname::text AS name,
               pg_catalog.has_column_privilege(n.role, c.oid, b.attnum, 'SELECT') AS allowed
          FROM read_column k
          JOIN pg_catalog.pg_attribute b ON b.attrelid = k.relation AND b.attnum = k.attnum
         WHERE k.relation = n.relation AND NOT b.attisdropped
           AND NOT a.whole) x  -- in here, so that columns are looked at only where it matters
) k ON NOT a.whole
UNION ALL
SELECT DISTINCT r.rolname::text, 0::int8, w.reader::int8,
       pg_catalog.has_function_privilege(t.role, p.oid, 'EXECUTE'), true, true, false,
       p.oid::pg_catalog.regprocedure::text, '{}'::text[], o.rolname::text
FROM walk w
JOIN tview t ON t.reader = w.reader
JOIN pg_catalog.pg_roles r ON r.oid = t.role
JOIN pg_catalog.pg_rewrite v ON v.ev_class = w.relation
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = v.oid
 AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
ORDER BY 3, 1, 2, 7
"""

# What the extension grants to everybody and writers need: to reach its schema, read its catalog, and
# run the functions that are not for operators only. Trigger functions are no part of it: the server asks
# for EXECUTE of whoever creates a trigger, never of whoever fires it.
PUBLIC_LACKS = """
SELECT 'USAGE' AS privilege, pg_catalog.format('SCHEMA %%I', n.nspname) AS object
FROM pg_catalog.pg_namespace n
WHERE n.nspname = %(ext_schema)s
  AND NOT pg_catalog.has_schema_privilege('public', n.oid, 'USAGE')
UNION ALL
SELECT 'SELECT', pg_catalog.format('%%I.%%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(ext_schema)s AND c.relname = ANY (%(public_tables)s)
  AND NOT pg_catalog.has_table_privilege('public', c.oid, 'SELECT')
UNION ALL
SELECT 'EXECUTE', pg_catalog.format('FUNCTION %%s', p.oid::pg_catalog.regprocedure)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = %(extension)s
WHERE n.nspname = %(ext_schema)s AND NOT p.proname = ANY (%(operator_functions)s)
  AND p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
  AND NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY 1, 2
"""
