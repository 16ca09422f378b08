"""The collector's queries: plain PostgreSQL catalogs, no name of the extension in them.

Parameters are psycopg's named ones. `%%` is a literal per cent. Every object is qualified, though
search_path is pinned as well. OIDs are cast to int8: the wire's oid would come back unsigned but
regclass would come back as a name.
"""

from __future__ import annotations

SERVER = """
SELECT pg_catalog.current_setting('server_version_num')::int4 AS version_num,
       pg_catalog.current_setting('server_version') AS version,
       pg_catalog.current_database()::text AS database,
       (SELECT oid::int8 FROM pg_catalog.pg_database
         WHERE datname = pg_catalog.current_database()) AS database_oid,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.pg_postmaster_start_time()::text AS started_at,
       (SELECT stats_reset::text FROM pg_catalog.pg_stat_database
         WHERE datname = pg_catalog.current_database()) AS stats_reset,
       pg_catalog.current_setting('server_encoding') AS encoding,
       CURRENT_USER::text AS "user",
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER) AS is_superuser,
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS monitors,
       ARRAY(SELECT datname::text FROM pg_catalog.pg_database
              WHERE datallowconn AND NOT datistemplate ORDER BY datname) AS databases,
       pg_catalog.current_setting('max_connections')::int4 AS max_connections,
       pg_catalog.current_setting('superuser_reserved_connections')::int4
         + COALESCE(pg_catalog.current_setting('reserved_connections', true)::int4, 0)
         AS reserved_connections,
       (SELECT sum(numbackends)::int4 FROM pg_catalog.pg_stat_database) AS connections,
       pg_catalog.current_setting('max_prepared_transactions')::int4 AS max_prepared_transactions,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE pg_catalog.pg_notification_queue_usage() END AS notify_queue_usage
"""

SYSTEM_IDENTIFIER = "SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()"

WAL_LSN = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_lsn() END::text AS lsn
"""

EXTENSION = r"""
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
       ARRAY(SELECT DISTINCT COALESCE(g.rolname::text, 'PUBLIC')
               FROM pg_catalog.aclexplode(n.nspacl) x
               LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
              WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner
              ORDER BY 1) AS creators,
       EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'jsonb_delta') AS jsonb_delta
FROM (VALUES (1)) one
LEFT JOIN pg_catalog.pg_extension e ON e.extname = %(extension)s
LEFT JOIN pg_catalog.pg_namespace l
       ON e.oid IS NULL AND pg_catalog.obj_description(l.oid, 'pg_namespace') LIKE 'pgtv lab%%'
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

# Every relation that a TVIEW touches: what its backing view reads through views and materialized
# views, partitions, what carries the extension's triggers, views that stand in the extension's
# schema without belonging to it (backing views of lost registrations), and tables named like TVIEWs.
REACH = r"""
WITH RECURSIVE ext AS (
  SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname = %(extension)s
), members AS (
  SELECT d.objid, d.classid FROM pg_catalog.pg_depend d JOIN ext ON d.refobjid = ext.oid
  WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
), seed(oid) AS (
  SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid::int8 = ANY (%(known)s::int8[])
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
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
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

RELATIONS = """
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
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'attnum', a.attnum, 'not_null', a.attnotnull,
            'has_default', a.atthasdef OR a.attidentity <> '',
            'collation', CASE WHEN a.attcollation <> t.typcollation THEN co.collname END)
            ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a
          JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
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
       CASE WHEN c.relkind = 'r' AND c.oid::int8 = ANY (%(known)s::int8[]) THEN
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
       CASE WHEN c.oid::int8 = ANY (%(tables)s::int8[]) THEN
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
WHERE c.oid::int8 = ANY (%(rels)s::int8[])
ORDER BY n.nspname, c.relname
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
WHERE w.ev_class::int8 = ANY (%(rels)s::int8[])
  AND d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass,
                       'pg_catalog.pg_proc'::pg_catalog.regclass)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""

_NAME = r'(?:"(?:[^"]|"")+"|[^\s"();,.]+)'
_IDENT = r'(?:"(?:[^"]|"")+"|[[:alpha:]_][\w$]*)'
_READ = rf"\m(?:from|join)\s+(?:only\s+)?({_IDENT}(?:\s*[.]\s*{_IDENT})?)"

FUNCTIONS = r"""
SELECT DISTINCT p.oid::int8 AS oid, p.oid::pg_catalog.regprocedure::text AS signature,
       r.rolname::text AS owner, p.provolatile::text AS volatility, l.lanname::text AS language,
       p.prosecdef AS security_definer, pg_catalog.md5(p.prosrc) AS source_hash,
       pg_catalog.age(p.xmin) AS age, e.extname::text AS extension,
       p.proacl IS NOT NULL AS granted,
       CASE WHEN l.lanname IN ('plpgsql', 'sql') AND p.provolatile <> 'i' AND x.objid IS NULL THEN
         ARRAY(SELECT DISTINCT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
                 FROM pg_catalog.regexp_matches(pg_catalog.regexp_replace(p.prosrc,
                        $$--[^\n]*|/[*].*?[*]/|'[^']*'$$, ' ', 'g'), $$@READ@$$, 'gi') AS m(m)
                 CROSS JOIN LATERAL pg_catalog.parse_ident(m.m[1], false) AS i(parts)
                 JOIN pg_catalog.pg_class c ON c.relkind IN ('r', 'p')
                  AND c.relname = i.parts[pg_catalog.cardinality(i.parts)]
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
                  AND (pg_catalog.cardinality(i.parts) = 1 OR n.nspname = i.parts[1])
                ORDER BY 1)
       ELSE '{}' END AS reads
FROM pg_catalog.pg_rewrite w
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
 AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_depend x
  ON x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid AND x.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
WHERE w.ev_class::int8 = ANY (%(rels)s::int8[])
ORDER BY 2
""".replace("@READ@", _READ)

# pg_get_triggerdef takes no lock on the table, unless it has a WHEN condition to print: those come
# with TRIGGERDEFS, together with what else needs locks.
# A relation after a word that writes: what a function's text writes to, unless it is dynamic.
WRITTEN = (
    r"\m(?:insert\s+into|update|delete\s+from|merge\s+into|truncate(?:\s+table)?)\s+"
    rf"(?:only\s+)?({_NAME}(?:\s*[.]\s*{_NAME})?)"
)

# What fires a trigger again from within it, and goes on for ever when no condition stands before it:
# (bits of tgtype to look at, their value, the statement). A row trigger repeats itself by updating
# the row that fired it, whatever the column it is found by, or all rows; or by inserting a row. A
# statement trigger repeats itself by any statement of its kind, even one that finds no row.
_TABLE = rf"(?:only\s+)?({_NAME}(?:\s*[.]\s*{_NAME})?)"
_REPEATS = (
    (17, 17, rf"\mupdate\s+{_TABLE}\s+(?:as\s+)?(?:\w+\s+)?set\s[^;]*"
             r"\mwhere\s+(?:\w+\s*[.]\s*)?(\w+)\s*=\s*(?:new|old)[.]\2\s*;"),
    (17, 17, rf"\mupdate\s+{_TABLE}\s+(?:as\s+)?(?:\w+\s+)?set\s(?:(?!\m(?:where|from)\M)[^;])*;"),
    (17, 16, rf"\mupdate\s+{_TABLE}\s"),
    (5, 5, rf"\minsert\s+into\s+{_TABLE}\s*(?:[(][^()]*[)]\s*)?(?:values|default\s+values)\M"),
    (5, 4, rf"\minsert\s+into\s+{_TABLE}[\s(]"),
    (9, 8, rf"\mdelete\s+from\s+{_TABLE}[\s;]"),
)  # fmt: skip

TRIGGERS = r"""
SELECT t.oid::int8 AS oid, t.tgrelid::int8 AS relation, t.tgname::text AS name,
       n.nspname::text AS function_schema, p.proname::text AS function_name,
       t.tgtype::int4 AS type, t.tgenabled::text AS enabled,
       NULLIF(t.tgparentid, 0)::int8 AS parent, t.tgargs AS args, t.tgqual IS NOT NULL AS when,
       t.tgattr::int2[]::int4[] AS columns, t.tgconstraint <> 0 AS constraint,
       t.tgdeferrable AS deferrable, t.tgoldtable::text AS old_table,
       t.tgnewtable::text AS new_table,
       CASE WHEN t.tgqual IS NULL THEN pg_catalog.pg_get_triggerdef(t.oid) END AS definition,
       t.tginitdeferred AS initially_deferred,
       l.lanname::text AS language,
       CASE WHEN l.lanname IN ('plpgsql', 'sql') AND n.nspname <> %(ext_schema)s THEN
         ARRAY(SELECT DISTINCT m.m[1] FROM pg_catalog.regexp_matches(
                 pg_catalog.regexp_replace(p.prosrc, '--[^\n]*|/[*].*?[*]/', ' ', 'g'), %(written)s,
                 'gi') AS m(m) ORDER BY 1)
       ELSE '{}' END AS writes,
       CASE WHEN l.lanname = 'plpgsql' AND n.nspname <> %(ext_schema)s
                 AND t.tgqual IS NULL AND t.tgattr::text = '' THEN
         ARRAY(SELECT DISTINCT m.m[1]
                 FROM pg_catalog.regexp_replace(p.prosrc,
                        $$--[^\n]*|/[*].*?[*]/|'[^']*'$$, ' ', 'g') AS body(text)
                 JOIN (VALUES @REPEATS@) AS x(mask, bits, pattern)
                   ON t.tgtype::int4 & x.mask = x.bits
                 CROSS JOIN LATERAL pg_catalog.regexp_matches(body.text, x.pattern, 'gi') AS m(m)
                WHERE body.text !~* '\m(if|case|when|loop|return\s+query|exception|conflict|limit)\M'
                  AND body.text !~* 'pg_trigger_depth|current_setting'
                ORDER BY 1)
       ELSE '{}' END AS repeats
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE t.tgrelid::int8 = ANY (%(rels)s::int8[])
  AND (NOT t.tgisinternal OR t.tgparentid <> 0 AND t.tgconstraint = 0)
ORDER BY t.tgrelid, t.tgname
""".replace("@REPEATS@", ", ".join(f"({m}, {b}, $${p}$$)" for m, b, p in _REPEATS))

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
WHERE i.indrelid::int8 = ANY (%(rels)s::int8[])
ORDER BY i.indrelid, c.relname
"""

TABLE_STATS = """
SELECT s.relid::int8 AS relation, s.n_live_tup AS live, s.n_dead_tup AS dead,
       s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot_updates, s.n_tup_ins AS inserts,
       s.n_tup_del AS deletes, s.n_mod_since_analyze AS modified_since_analyze,
       GREATEST(s.last_vacuum, s.last_autovacuum)::text AS last_vacuum,
       GREATEST(s.last_analyze, s.last_autoanalyze)::text AS last_analyze
FROM pg_catalog.pg_stat_all_tables s
WHERE s.relid::int8 = ANY (%(rels)s::int8[])
ORDER BY 1
"""

# Values of settings that may hold secrets (conninfo, commands) are never asked for.
SETTINGS = r"""
SELECT name, setting AS value, source, pending_restart,
       CASE WHEN source = 'session' THEN reset_val END AS reset
FROM pg_catalog.pg_settings
WHERE pg_catalog.starts_with(name, %(prefix)s)
   OR name IN ('session_replication_role', 'max_locks_per_transaction', 'wal_level',
               'max_replication_slots', 'max_wal_senders', 'max_wal_size', 'archive_mode',
               'fsync', 'full_page_writes', 'default_transaction_read_only', 'autovacuum',
               'idle_in_transaction_session_timeout', 'track_counts', 'hot_standby_feedback',
               'max_slot_wal_keep_size', 'data_checksums', 'max_standby_streaming_delay',
               'default_transaction_isolation', 'lock_timeout', 'deadlock_timeout',
               'statement_timeout', 'transaction_timeout', 'quote_all_identifiers')
ORDER BY name
"""

# `before`: the schemas that a fixed search_path puts before pg_catalog. `shadowing`: what stands there
# under the name and the arguments of something built in.
ROLE_SETTINGS = r"""
WITH path AS MATERIALIZED (
  SELECT DISTINCT pg_catalog.substr(c.x, 13) AS path
  FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c(x)
  WHERE c.x LIKE 'search_path=%%pg_catalog%%'
), entry AS MATERIALIZED (
  SELECT p.path, e.n, CASE WHEN e.x LIKE '"%%"'
           THEN pg_catalog.replace(pg_catalog.substr(e.x, 2, pg_catalog.length(e.x) - 2), '""', '"')
           ELSE e.x END AS schema
  FROM path p CROSS JOIN LATERAL (
    SELECT pg_catalog.btrim(x.x) AS x, x.n
    FROM pg_catalog.unnest(pg_catalog.string_to_array(p.path, ',')) WITH ORDINALITY AS x(x, n)) e
), before AS MATERIALIZED (
  SELECT e.path, n.oid AS schema FROM entry e
  JOIN entry b ON b.path = e.path AND b.schema = 'pg_catalog' AND e.n < b.n
  JOIN pg_catalog.pg_namespace n ON n.nspname = e.schema
), shadowing AS MATERIALIZED (
  SELECT p.pronamespace AS schema, p.oid::pg_catalog.regprocedure::text AS name
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_proc b ON b.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND b.proname = p.proname AND b.proargtypes = p.proargtypes
  WHERE p.pronamespace IN (SELECT schema FROM before)
  UNION ALL
  SELECT o.oprnamespace, o.oid::pg_catalog.regoperator::text
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_operator b ON b.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND b.oprname = o.oprname AND b.oprleft = o.oprleft AND b.oprright = o.oprright
  WHERE o.oprnamespace IN (SELECT schema FROM before)
)
SELECT d.datname::text AS database, r.rolname::text AS role,
       pg_catalog.split_part(c.x, '=', 1) AS name,
       pg_catalog.substr(c.x, pg_catalog.strpos(c.x, '=') + 1) AS value, NULL AS function,
       CASE WHEN c.x LIKE 'search_path=%%' THEN
         ARRAY(SELECT b.name FROM before JOIN shadowing b ON b.schema = before.schema
                WHERE before.path = pg_catalog.substr(c.x, 13) ORDER BY 1)
       ELSE '{}' END AS shadows
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c(x)
WHERE (s.setdatabase = 0 OR d.datname = pg_catalog.current_database())
  AND (pg_catalog.split_part(c.x, '=', 1) IN
       ('session_replication_role', 'row_security', 'default_transaction_read_only',
        'event_triggers', 'search_path', 'statement_timeout', 'transaction_timeout',
        'quote_all_identifiers')
       -- by name: a setting made up by an application may hold a secret
       OR c.x ~ '^[[:alpha:]_]+[.](publish_changes|max_queue_size|max_refresh_rows)=')
UNION ALL
SELECT NULL, NULL, pg_catalog.split_part(c.x, '=', 1),
       pg_catalog.substr(c.x, pg_catalog.strpos(c.x, '=') + 1),
       p.oid::pg_catalog.regprocedure::text, '{}'
FROM pg_catalog.pg_proc p CROSS JOIN LATERAL pg_catalog.unnest(p.proconfig) AS c(x)
WHERE pg_catalog.split_part(c.x, '=', 1) = 'session_replication_role'
ORDER BY 1, 2, 3, 5
"""

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
WHERE c.oid::int8 = ANY (%(rels)s::int8[]) AND a.grantee <> c.relowner
  AND (n.nspname = %(ext_schema)s OR c.relname LIKE 'tv\_%%'
       OR c.oid::int8 = ANY (%(known)s::int8[]))
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
               WHERE c.oid::int8 = ANY (%(tables)s::int8[]) AND c.relowner = d.defaclrole
                 AND d.defaclnamespace IN (0, c.relnamespace))
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""

ROLES = """
SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypass_rls,
       r.rolcanlogin AS can_login
FROM pg_catalog.pg_roles r
WHERE r.oid IN (SELECT relowner FROM pg_catalog.pg_class
                 WHERE oid::int8 = ANY (%(rels)s::int8[])
                UNION ALL
                SELECT p.proowner FROM pg_catalog.pg_rewrite w
                JOIN pg_catalog.pg_depend d
                  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
                 AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
                 WHERE w.ev_class::int8 = ANY (%(rels)s::int8[]))
ORDER BY 1
"""

# objsubid 21622 and 21623 mark the extension's advisory locks; their classid is a relation. Relations
# that no TVIEW touches are there where a prepared transaction holds them. Who waits for a row behind
# another waiter (locktype tuple) is told like who waits for a transaction: by the pids in its way.
LOCKS = """
WITH held AS MATERIALIZED (
  SELECT l.locktype, l.database, l.relation, l.page, l.tuple, l.transactionid, l.classid, l.objid,
         l.objsubid, l.mode, l.granted, l.pid, l.waitstart, l.virtualtransaction
  FROM pg_catalog.pg_locks l WHERE l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
), prepared AS (
  -- a prepared transaction keeps the virtual transaction of the session that began it (after a
  -- restart it is -1/xid): only its lock on its own transaction id tells which one it is
  SELECT h.virtualtransaction, p.gid FROM held h
  JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = h.transactionid
  WHERE h.locktype = 'transactionid' AND h.granted AND h.pid IS NULL
), foreign_tables AS (
  SELECT DISTINCT h.relation FROM held h
  JOIN pg_catalog.pg_class c ON c.oid = h.relation AND c.relkind IN ('r', 'p', 'm', 'f')
  WHERE h.locktype = 'relation' AND h.pid IS NULL AND h.relation::int8 >= 16384
    AND NOT h.relation::int8 = ANY (%(rels)s::int8[])
)
SELECT CASE WHEN l.locktype = 'relation' THEN l.relation::int8
            WHEN l.locktype = 'advisory' THEN l.classid::int8 END AS relation,
       l.mode, l.granted, l.pid, p.gid, l.locktype = 'advisory' AS advisory,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::float8 AS wait_seconds,
       CASE l.locktype WHEN 'transactionid' THEN l.transactionid::text
                       WHEN 'advisory' THEN pg_catalog.concat_ws('/', l.classid, l.objid, l.objsubid)
                       WHEN 'tuple' THEN pg_catalog.concat_ws('/', l.relation, l.page, l.tuple)
       END AS target,
       CASE WHEN f.relation IS NOT NULL THEN f.relation::pg_catalog.regclass::text END AS name
FROM held l
LEFT JOIN prepared p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
LEFT JOIN foreign_tables f ON l.locktype = 'relation' AND f.relation = l.relation
WHERE l.database = (SELECT oid FROM pg_catalog.pg_database
                     WHERE datname = pg_catalog.current_database())
      AND (l.locktype = 'relation' AND l.relation::int8 = ANY (%(rels)s::int8[])
           OR f.relation IS NOT NULL
           OR l.locktype = 'tuple' AND NOT l.granted
           OR l.locktype = 'advisory' AND l.objsubid IN (21622, 21623))
   OR l.locktype = 'transactionid' AND NOT l.granted
ORDER BY l.relation, l.pid, l.mode
"""

SESSIONS = """
SELECT a.pid, a.usename::text AS user, COALESCE(a.application_name, '') AS application,
       a.client_addr::text AS client, a.datname::text AS database, a.state,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS xact_seconds,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS state_seconds,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.query_start)::float8 AS query_seconds,
       a.wait_event_type, a.wait_event, a.query, COALESCE(a.backend_type, '') AS backend_type,
       CASE WHEN a.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(a.pid)
            ELSE '{}' END AS blocked_by,
       pg_catalog.age(a.backend_xmin) AS xmin_age
FROM pg_catalog.pg_stat_activity a
WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'
  AND a.datname = pg_catalog.current_database()
  AND (a.xact_start IS NOT NULL
       OR a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l
                     WHERE l.relation::int8 = ANY (%(rels)s::int8[])))
ORDER BY a.xact_start NULLS LAST, a.pid
"""

PREPARED = """
SELECT p.gid, p.owner::text AS owner, p.database::text AS database,
       p.prepared::text AS prepared_at,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::float8 AS age_seconds,
       pg_catalog.age(p.transaction) AS xid_age, p.transaction::text AS xid
FROM pg_catalog.pg_prepared_xacts p
ORDER BY p.prepared, p.gid
"""

SLOTS = """
SELECT s.slot_name::text AS name, s.slot_type AS type, s.active, s.database::text AS database,
       s.wal_status,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::int8
       END AS retained_bytes,
       GREATEST(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin)) AS xmin_age,
       s.plugin::text AS plugin
FROM pg_catalog.pg_replication_slots s
ORDER BY s.slot_name
"""

REPLICAS = """
SELECT r.application_name AS name, r.state, r.sync_state,
       EXTRACT(epoch FROM r.replay_lag)::float8 AS replay_lag_seconds,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)::int8
       END AS replay_lag_bytes
FROM pg_catalog.pg_stat_replication r
ORDER BY r.application_name, r.pid
"""

STANDBY = """
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_wal_receiver) AS receiving,
       pg_catalog.pg_is_wal_replay_paused() AS replay_paused,
       CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
            ELSE EXTRACT(epoch FROM pg_catalog.clock_timestamp()
                                    - pg_catalog.pg_last_xact_replay_timestamp()) END::float8
         AS replay_lag_seconds,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(),
                                  pg_catalog.pg_last_wal_replay_lsn())::int8 AS replay_lag_bytes,
       (SELECT confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock
          FROM pg_catalog.pg_stat_database_conflicts
         WHERE datname = pg_catalog.current_database())::int4 AS conflicts
"""

# subconninfo is not read: it may hold a password, and only superusers may see it anyway.
SUBSCRIPTIONS = """
SELECT s.subname::text AS name, s.subenabled AS enabled,
       COALESCE(pg_catalog.array_agg(r.srrelid::int8 ORDER BY r.srrelid)
                FILTER (WHERE r.srrelid::int8 = ANY (%(rels)s::int8[])), '{}') AS relations
FROM pg_catalog.pg_subscription s
LEFT JOIN pg_catalog.pg_subscription_rel r ON r.srsubid = s.oid
WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database
                    WHERE datname = pg_catalog.current_database())
GROUP BY s.subname, s.subenabled
ORDER BY 1
"""

# UPDATE and DELETE need the replica identity: a row filter may read no other column, and a list of
# columns has to hold it whole.
PUBLICATIONS = """
WITH identity AS (
  SELECT c.oid AS relation, c.relreplident AS kind, i.indkey::int2[] AS columns
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
   AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
  WHERE c.oid::int8 = ANY (%(rels)s::int8[])
)
SELECT p.pubname::text AS name, p.puballtables AS all_tables,
       ARRAY(SELECT r.prrelid::int8 FROM pg_catalog.pg_publication_rel r
              WHERE r.prpubid = p.oid AND r.prrelid::int8 = ANY (%(rels)s::int8[])
             UNION
             SELECT c.oid::int8 FROM pg_catalog.pg_publication_namespace s
             JOIN pg_catalog.pg_class c ON c.relnamespace = s.pnnspid AND c.relkind IN ('r', 'p')
              WHERE s.pnpubid = p.oid AND c.oid::int8 = ANY (%(rels)s::int8[])
             ORDER BY 1) AS relations,
       p.pubupdate OR p.pubdelete AS updates,
       -- a column in both filter and list has two rows in pg_depend
       ARRAY(SELECT r.prrelid::int8 FROM pg_catalog.pg_publication_rel r
             JOIN identity i ON i.relation = r.prrelid AND i.kind <> 'f'
              WHERE r.prpubid = p.oid AND r.prqual IS NOT NULL AND EXISTS (
                SELECT 1 FROM pg_catalog.pg_depend d
                 WHERE d.classid = 'pg_catalog.pg_publication_rel'::pg_catalog.regclass
                   AND d.objid = r.oid AND d.refobjid = r.prrelid AND d.refobjsubid > 0
                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                   AND (i.columns IS NULL OR d.refobjsubid <> ALL (i.columns))
                 GROUP BY d.refobjsubid
                HAVING count(*) > CASE WHEN d.refobjsubid = ANY (r.prattrs::int2[]) THEN 1 ELSE 0 END)
             ORDER BY 1) AS filters_other,
       ARRAY(SELECT r.prrelid::int8 FROM pg_catalog.pg_publication_rel r
             JOIN identity i ON i.relation = r.prrelid
              WHERE r.prpubid = p.oid AND r.prattrs IS NOT NULL
                AND (i.kind = 'f' OR NOT i.columns <@ r.prattrs::int2[])
             ORDER BY 1) AS columns_lack
FROM pg_catalog.pg_publication p
ORDER BY 1
"""

ARCHIVER = """
SELECT pg_catalog.current_setting('archive_mode') AS mode, archived_count AS archived,
       failed_count AS failed, last_archived_time::text AS last_archived,
       last_failed_time::text AS last_failed
FROM pg_catalog.pg_stat_archiver
"""

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

VIEWDEFS = """
SELECT c.oid::int8 AS oid, pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class c
WHERE c.oid::int8 = ANY (%(views)s::int8[]) AND c.relkind IN ('v', 'm')
"""

SIZES = """
SELECT c.oid::int8 AS oid, pg_catalog.pg_relation_size(c.oid) AS bytes
FROM pg_catalog.pg_class c WHERE c.oid::int8 = ANY (%(tables)s::int8[])
"""

TRIGGERDEFS = """
SELECT t.oid::int8 AS oid, pg_catalog.pg_get_triggerdef(t.oid) AS definition
FROM pg_catalog.pg_trigger t WHERE t.oid::int8 = ANY (%(triggers)s::int8[])
"""
