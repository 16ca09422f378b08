"""What verification asks the catalogs; no name of the extension occurs here.

Parameters are psycopg's named ones; `%%` is a literal per cent.
"""

from __future__ import annotations

# One row a relation: what decides how its rows can be compared. A domain counts as its base type.
SHAPES = """
SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name,
       c.relkind::text AS kind, c.relpersistence::text AS persistence, c.relispopulated AS populated,
       r.rolname::text AS owner, COALESCE(r.rolsuper, false) AS owner_superuser,
       c.reltuples::float8 AS reltuples,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                 'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                 'base', b.oid::int8, 'not_null', a.attnotnull,
                 'deterministic', COALESCE(l.collisdeterministic, true))
               ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a
          LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
          CROSS JOIN LATERAL (
            WITH RECURSIVE up AS (
              SELECT t.oid, t.typbasetype, t.typtype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
              UNION ALL
              SELECT t.oid, t.typbasetype, t.typtype
                FROM up JOIN pg_catalog.pg_type t ON t.oid = up.typbasetype)
            SELECT oid FROM up WHERE typtype <> 'd') b
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT pg_catalog.json_agg(i.names)
          FROM (SELECT ARRAY(SELECT a.attname::text
                               FROM pg_catalog.unnest(x.indkey[0:x.indnkeyatts - 1]) k
                               JOIN pg_catalog.pg_attribute a
                                 ON a.attrelid = x.indrelid AND a.attnum = k) AS names
                  FROM pg_catalog.pg_index x
                 WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indisready
                   AND x.indimmediate AND x.indpred IS NULL AND x.indexprs IS NULL) i) AS unique_keys
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
WHERE c.oid::int8 = ANY (%(oids)s::int8[])
"""

# Whether code run in this session could end up with a superuser's rights. SET ROLE does not
# confine a session: what counts is who logged in, and every role that this login may become.
LOGIN = """
SELECT SESSION_USER::text AS login,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = SESSION_USER) AS superuser,
       ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r
              WHERE (r.rolsuper OR r.rolname IN ('pg_execute_server_program',
                                                 'pg_write_server_files', 'pg_read_server_files'))
                AND r.rolname <> SESSION_USER
                AND pg_catalog.pg_has_role(SESSION_USER, r.oid, 'MEMBER')
              ORDER BY 1) AS powers,
       ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r
              WHERE r.rolname = ANY (%(roles)s::text[])
                AND pg_catalog.pg_has_role(SESSION_USER, r.oid,
                      CASE WHEN pg_catalog.current_setting('server_version_num')::int4 >= 160000
                           THEN 'SET' ELSE 'MEMBER' END)) AS may_be,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.current_setting('server_version_num')::int4 AS version_num
"""

# Whether code run as a role, which cannot become another one, has more rights than those of SQL.
RIGHTS = """
SELECT a.rolsuper,
       ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r
              WHERE (r.rolsuper OR r.rolname IN ('pg_execute_server_program',
                                                 'pg_write_server_files', 'pg_read_server_files'))
                AND r.rolname <> a.rolname AND pg_catalog.pg_has_role(a.oid, r.oid, 'USAGE')
              ORDER BY 1)
FROM pg_catalog.pg_roles a WHERE a.rolname = %(role)s
"""

MOMENT = """
SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
             ELSE pg_catalog.pg_current_wal_lsn() END)::text AS lsn,
       pg_catalog.clock_timestamp()::text AS at
"""
