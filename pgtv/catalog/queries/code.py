"""Functions and triggers, and what their text tells of the tables that they touch."""

from __future__ import annotations

# What of a function's text is no code: for pg_catalog.regexp_replace with the flag g. A block comment is
# spelled out, since with alternatives PostgreSQL takes the longest match of `.*?` too, up to the last
# comment's end.
COMMENTS = r"--[^\n]*|/[*]([^*]|[*]+[^*/])*[*]+/"
_NO_CODE = rf"{COMMENTS}|'[^']*'"

_NAME = r'(?:"(?:[^"]|"")+"|[^\s"();,.]+)'

_IDENT = r'(?:"(?:[^"]|"")+"|[[:alpha:]_][\w$]*)'

_READ = rf"\m(?:from|join)\s+(?:only\s+)?({_IDENT}(?:\s*[.]\s*{_IDENT})?)"

_CALL = rf"\m({_IDENT}(?:\s*[.]\s*{_IDENT})?)\s*[(]"

# Those that views call, and those that these call in turn: through operators and aggregates, which
# depend on their functions, from SQL bodies, and from texts, as far as names tell.
FUNCTIONS = (
    r"""
WITH RECURSIVE root(reader, fn, direct) AS (
  SELECT w.ev_class, d.refobjid, true
    FROM pg_catalog.pg_rewrite w
    JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
     AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
   WHERE w.ev_class = ANY (%(rels)s::oid[])
  UNION
  SELECT w.ev_class, o.oprcode::oid, false
    FROM pg_catalog.pg_rewrite w
    JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
     AND d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
    JOIN pg_catalog.pg_operator o ON o.oid = d.refobjid
   WHERE w.ev_class = ANY (%(rels)s::oid[])
), calls(root, fn) AS (
  SELECT DISTINCT fn, fn FROM root
  UNION
  SELECT c.root, x.fn FROM calls c
    JOIN pg_catalog.pg_proc p ON p.oid = c.fn AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend e
       WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid
         AND e.deptype = 'e')
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
   CROSS JOIN LATERAL (
     SELECT d.refobjid FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
        AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
     UNION ALL
     SELECT q.oid FROM pg_catalog.regexp_matches(pg_catalog.regexp_replace(p.prosrc,
              $$@NO_CODE@$$, ' ', 'g'), $$@CALL@$$, 'gi') AS m(m)
      CROSS JOIN LATERAL pg_catalog.parse_ident(m.m[1], false) AS i(parts)
       JOIN pg_catalog.pg_proc q ON q.proname = i.parts[pg_catalog.cardinality(i.parts)]
       JOIN pg_catalog.pg_namespace n ON n.oid = q.pronamespace
        AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
        AND (CASE WHEN pg_catalog.cardinality(i.parts) > 1 THEN n.nspname = i.parts[1]
                  ELSE n.nspname = 'public' OR n.oid = p.pronamespace END)
      WHERE l.lanname IN ('plpgsql', 'sql') AND q.prokind <> 'p'
   ) AS x(fn)
), used(fn, direct, serves) AS (
  SELECT c.fn, pg_catalog.bool_or(r.direct AND c.fn = r.fn),
         pg_catalog.array_agg(DISTINCT r.reader::int8) FILTER (WHERE NOT (r.direct AND c.fn = r.fn))
    FROM root r JOIN calls c ON c.root = r.fn GROUP BY c.fn
)
SELECT p.oid::int8 AS oid, p.oid::pg_catalog.regprocedure::text AS signature,
       r.rolname::text AS owner, p.provolatile::text AS volatility, l.lanname::text AS language,
       p.prosecdef AS security_definer, pg_catalog.md5(p.prosrc) AS source_hash,
       pg_catalog.age(p.xmin) AS age, e.extname::text AS extension,
       p.proacl IS NOT NULL AS granted,
       CASE WHEN l.lanname IN ('plpgsql', 'sql') AND p.provolatile <> 'i' AND x.objid IS NULL THEN
         ARRAY(SELECT DISTINCT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
                 FROM pg_catalog.regexp_matches(pg_catalog.regexp_replace(p.prosrc,
                        $$@NO_CODE@$$, ' ', 'g'), $$@READ@$$, 'gi') AS m(m)
                 CROSS JOIN LATERAL pg_catalog.parse_ident(m.m[1], false) AS i(parts)
                 JOIN pg_catalog.pg_class c ON c.relkind IN ('r', 'p')
                  AND c.relname = i.parts[pg_catalog.cardinality(i.parts)]
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
                  AND (pg_catalog.cardinality(i.parts) = 1 OR n.nspname = i.parts[1])
                ORDER BY 1)
       ELSE '{}' END AS reads,
       COALESCE(u.serves, '{}') AS serves
FROM used u
JOIN pg_catalog.pg_proc p ON p.oid = u.fn
JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_depend x
  ON x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid AND x.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
WHERE u.direct OR p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
ORDER BY 2
""".replace("@READ@", _READ)
    .replace("@CALL@", _CALL)
    .replace("@NO_CODE@", _NO_CODE)
)

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

# What a function's text does to other tables whatever is in them: a WHERE that excludes, or asks for a
# difference, is a condition too.
_ALWAYS = (
    ("UPDATE", rf"\mupdate\s+{_TABLE}\s+(?:as\s+)?(?:\w+\s+)?set\s"
               r"(?:(?!\m(?:distinct|not|null|exists|in|any|false)\M)[^;<>!])*;"),
    ("INSERT", rf"\minsert\s+into\s+{_TABLE}\s*(?:[(][^()]*[)]\s*)?(?:values|default\s+values)\M"),
)  # fmt: skip
_CONDITIONS = r"\m(if|case|when|loop|return\s+query|exception|conflict|limit)\M"

# pg_get_triggerdef takes no lock on the table, unless it has a WHEN condition to print: those come
# with TRIGGERDEFS, together with what else needs locks.
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
                 pg_catalog.regexp_replace(p.prosrc, $$@COMMENTS@$$, ' ', 'g'), %(written)s,
                 'gi') AS m(m) ORDER BY 1)
       ELSE '{}' END AS writes,
       CASE WHEN l.lanname = 'plpgsql' AND n.nspname <> %(ext_schema)s
                 AND t.tgqual IS NULL AND t.tgattr::text = '' THEN
         ARRAY(SELECT DISTINCT m.m[1]
                 FROM pg_catalog.regexp_replace(p.prosrc,
                        $$@NO_CODE@$$, ' ', 'g') AS body(text)
                 JOIN (VALUES @REPEATS@) AS x(mask, bits, pattern)
                   ON t.tgtype::int4 & x.mask = x.bits
                 CROSS JOIN LATERAL pg_catalog.regexp_matches(body.text, x.pattern, 'gi') AS m(m)
                WHERE body.text !~* '@CONDITIONS@'
                  AND body.text !~* 'pg_trigger_depth|current_setting'
                ORDER BY 1)
       ELSE '{}' END AS repeats,
       CASE WHEN l.lanname = 'plpgsql' AND n.nspname <> %(ext_schema)s
                 AND t.tgqual IS NULL AND t.tgattr::text = '' THEN
         ARRAY(SELECT DISTINCT x.event || ' ' || m.m[1]
                 FROM pg_catalog.regexp_replace(p.prosrc,
                        $$@NO_CODE@$$, ' ', 'g') AS body(text)
                 JOIN (VALUES @ALWAYS@) AS x(event, pattern) ON true
                 CROSS JOIN LATERAL pg_catalog.regexp_matches(body.text, x.pattern, 'gi') AS m(m)
                WHERE body.text !~* '@CONDITIONS@'
                  AND body.text !~* 'pg_trigger_depth|current_setting'
                ORDER BY 1)
       ELSE '{}' END AS always
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE t.tgrelid = ANY (%(rels)s::oid[])
  AND (NOT t.tgisinternal OR t.tgparentid <> 0 AND t.tgconstraint = 0)
ORDER BY t.tgrelid, t.tgname
"""
for _mark, _text in (
    ("@REPEATS@", ", ".join(f"({m}, {b}, $${p}$$)" for m, b, p in _REPEATS)),
    ("@ALWAYS@", ", ".join(f"('{e}', $${p}$$)" for e, p in _ALWAYS)),
    ("@CONDITIONS@", _CONDITIONS),
    ("@NO_CODE@", _NO_CODE),
    ("@COMMENTS@", COMMENTS),
):
    TRIGGERS = TRIGGERS.replace(_mark, _text)

TRIGGERDEFS = """
SELECT t.oid::int8 AS oid, pg_catalog.pg_get_triggerdef(t.oid) AS definition
FROM pg_catalog.pg_trigger t WHERE t.oid = ANY (%(triggers)s::oid[])
"""
