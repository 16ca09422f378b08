"""Relations that TVIEWs touch: which they are, what they read, how they are stored."""

from __future__ import annotations

# Every relation that a TVIEW touches: what its backing view reads through views and materialized
# views, what has a name that a plan holds, partitions, what carries the extension's triggers, views
# that stand in the extension's schema without belonging to it (backing views of lost registrations),
# and tables named like TVIEWs.
REACH = r"""
WITH RECURSIVE ext AS (
  SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname = %(extension)s
), members AS (
  SELECT d.objid, d.classid FROM pg_catalog.pg_depend d JOIN ext ON d.refobjid = ext.oid
  WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
), seed(oid) AS (
  SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = ANY (%(known)s::oid[])
  UNION
  SELECT c.oid FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
    AND pg_catalog.format('%%I.%%I', n.nspname, c.relname) = ANY (%(named)s::text[])
  UNION
  SELECT c.oid FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %(ext_schema)s AND c.relkind IN ('r', 'v', 'm')
  UNION
  SELECT c.oid FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND c.relname LIKE 'tv\_%%' AND n.nspname NOT LIKE 'pg\_%%'
  UNION
  SELECT t.tgrelid FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = %(ext_schema)s
    OR p.oid IN (SELECT objid FROM members
                 WHERE classid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
), reach(oid) AS (
  SELECT oid FROM seed
  UNION
  SELECT x.oid FROM reach r CROSS JOIN LATERAL (
    SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite w
    JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> w.ev_class
    JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
    WHERE w.ev_class = r.oid
    UNION ALL
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.oid
    UNION ALL
    SELECT i.inhparent FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c
      ON c.oid = i.inhrelid AND (c.relispartition OR c.oid = ANY (%(known)s::oid[]))
    WHERE i.inhrelid = r.oid
  ) x
)
SELECT r.oid::int8 AS oid FROM reach r
JOIN pg_catalog.pg_class c ON c.oid = r.oid
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace
  AND c.relnamespace <> COALESCE(pg_catalog.to_regnamespace('information_schema')::oid, 0)
  AND NOT (c.relkind = 'v' AND c.oid IN (SELECT objid FROM members
             WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass))
ORDER BY 1
"""

RELATIONS = r"""
SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name,
       pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS qualified, c.relkind::text AS kind,
       r.rolname::text AS owner, c.relpersistence::text AS persistence,
       CASE WHEN c.relispartition THEN i.parent END AS partition_of,
       CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid::int8 END
         AS partition_root,
       CASE WHEN c.relispartition THEN '{}'::int8[] ELSE COALESCE(i.parents, '{}') END AS inherits,
       c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security,
       (SELECT count(*)::int4 FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid) AS policies,
       c.relpages AS relpages, c.reltuples::float8 AS reltuples,
       COALESCE(c.reloptions, '{}') AS options, c.relreplident::text AS replica_identity,
       c.relhastriggers AS has_triggers,
       pg_catalog.age(w.xmin) AS rule_age, pg_catalog.md5(w.ev_action::text) AS rule_hash,
       EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
                  AND d.refclassid = 'pg_catalog.pg_constraint'::pg_catalog.regclass)
         AS rule_on_constraint,
       -- what people write on their own tables is theirs, and passwords were seen there
       CASE WHEN c.relkind = 'v' AND n.nspname = %(ext_schema)s
            THEN pg_catalog.obj_description(c.oid, 'pg_class') END AS comment,
       c.relfilenode::int8 AS file_node, c.relispopulated AS is_populated,
       pg_catalog.age(c.xmin) AS age,
       CASE WHEN c.relhasrules AND c.relkind NOT IN ('v', 'm') THEN
         ARRAY(SELECT u.rulename::text FROM pg_catalog.pg_rewrite u
                WHERE u.ev_class = c.oid AND u.ev_enabled <> 'D' ORDER BY 1)
       ELSE '{}' END AS rules,
       -- of TVIEWs, and of those that lost their registration
       CASE WHEN c.relkind = 'r' AND (c.oid = ANY (%(known)s::oid[]) OR c.relname LIKE 'tv\_%%') THEN
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
              'name', k.conname, 'kind', k.contype,
              'table', pg_catalog.format('%%I.%%I', kn.nspname, kc.relname)) ORDER BY k.conname, k.oid)
            FROM pg_catalog.pg_constraint k
            JOIN pg_catalog.pg_class kc ON kc.oid = k.conrelid
            JOIN pg_catalog.pg_namespace kn ON kn.oid = kc.relnamespace
           WHERE k.oid IN (SELECT o.oid FROM pg_catalog.pg_constraint o
                            WHERE o.conrelid = c.oid AND o.contype IN ('c', 'x')
                           UNION ALL
                           SELECT g.tgconstraint FROM pg_catalog.pg_trigger g
                            WHERE g.tgrelid = c.oid AND g.tgconstraint <> 0)) END AS constraints,
       CASE WHEN c.oid = ANY (%(tables)s::oid[]) THEN
         ARRAY(SELECT x.p FROM pg_catalog.unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) x(p)
                WHERE NOT pg_catalog.has_table_privilege(c.relowner, c.oid, x.p)
               UNION ALL
               SELECT 'USAGE' WHERE NOT
                 pg_catalog.has_schema_privilege(c.relowner, c.relnamespace, 'USAGE'))
       ELSE '{}' END AS owner_lacks
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
LEFT JOIN LATERAL (SELECT pg_catalog.min(h.inhparent::int8) AS parent,
                          pg_catalog.array_agg(h.inhparent::int8 ORDER BY h.inhseqno) AS parents
                   FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid) i ON true
LEFT JOIN pg_catalog.pg_rewrite w
       ON w.ev_class = c.oid AND w.rulename = '_RETURN' AND c.relkind IN ('v', 'm')
WHERE c.oid = ANY (%(rels)s::oid[])
ORDER BY n.nspname, c.relname
"""

# Rows, not JSON within RELATIONS: there are many, and both sides read them faster so.
COLUMNS = """
SELECT a.attrelid::int8 AS relation, a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnum::int4 AS attnum,
       a.attnotnull AS not_null, a.atthasdef OR a.attidentity <> '' AS has_default,
       CASE WHEN a.attcollation <> t.typcollation THEN co.collname::text END AS collation
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
WHERE a.attrelid = ANY (%(rels)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

READS = """
SELECT w.ev_class::int8 AS reader,
       CASE WHEN d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            THEN d.refobjid::int8 END AS relation,
       CASE WHEN d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
            THEN d.refobjid::int8 END AS function,
       COALESCE(pg_catalog.array_agg(a.attname::text ORDER BY a.attnum)
                FILTER (WHERE a.attname IS NOT NULL), '{}') AS columns
FROM pg_catalog.pg_rewrite w
JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
 AND d.refobjid <> w.ev_class AND d.deptype = 'n'
LEFT JOIN pg_catalog.pg_attribute a
  ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND a.attrelid = d.refobjid
 AND a.attnum = d.refobjsubid AND d.refobjsubid <> 0
WHERE w.ev_class = ANY (%(rels)s::oid[])
  AND d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass,
                       'pg_catalog.pg_proc'::pg_catalog.regclass)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""

INDEXES = """
SELECT i.indrelid::int8 AS relation, c.relname::text AS name,
       ARRAY(SELECT COALESCE(a.attname::text, '')
               FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k
               LEFT JOIN pg_catalog.pg_attribute a
                 ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] AND a.attnum > 0
              ORDER BY k) AS columns,
       i.indisunique AS unique, i.indisprimary AS primary, i.indisvalid AS valid,
       i.indisready AS ready, i.indpred IS NOT NULL AS partial, m.amname::text AS method,
       EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
                WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) AS constraint,
       COALESCE((pg_catalog.to_jsonb(i)->>'indnullsnotdistinct')::bool, false)
         AS nulls_not_distinct,
       i.indimmediate AS immediate, i.indisreplident AS replica_identity
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE i.indrelid = ANY (%(rels)s::oid[])
ORDER BY i.indrelid, c.relname
"""

TABLE_STATS = """
SELECT s.relid::int8 AS relation, s.n_live_tup AS live, s.n_dead_tup AS dead,
       s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot_updates, s.n_tup_ins AS inserts,
       s.n_tup_del AS deletes, s.n_mod_since_analyze AS modified_since_analyze,
       GREATEST(s.last_vacuum, s.last_autovacuum)::text AS last_vacuum,
       GREATEST(s.last_analyze, s.last_autoanalyze)::text AS last_analyze
FROM pg_catalog.pg_stat_all_tables s
WHERE s.relid = ANY (%(rels)s::oid[])
ORDER BY 1
"""

VIEWDEFS = """
SELECT c.oid::int8 AS oid, pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class c
WHERE c.oid = ANY (%(views)s::oid[]) AND c.relkind IN ('v', 'm')
"""

SIZES = """
SELECT c.oid::int8 AS oid, pg_catalog.pg_relation_size(c.oid) AS bytes,
       COALESCE(pg_catalog.pg_relation_size(NULLIF(c.reltoastrelid, 0)), 0)
       + (SELECT COALESCE(pg_catalog.sum(x.relpages), 0)
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
          WHERE i.indrelid IN (c.oid, c.reltoastrelid))::int8
         * pg_catalog.current_setting('block_size')::int8 AS more_bytes
FROM pg_catalog.pg_class c WHERE c.oid = ANY (%(tables)s::oid[])
"""
