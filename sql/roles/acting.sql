-- The least role for acting: what repair, refresh and triggers need beyond looking, without a superuser.
--
--   psql -d DATABASE -f acting.sql                        makes the role pgtv_act
--   psql -d DATABASE -v role=NAME -f acting.sql           another name
--
-- It becomes a member of the roles that own TVIEWs and the tables they read, superusers left out: only
-- an owner may refresh or re-register a TVIEW, create its triggers and disable them. Owners of TVIEWs get
-- TEMP on the database where they lack it, which confines their definitions. What stays with a
-- superuser: the extension's own catalog (lost registrations, unreadable plans), settings of the server,
-- and prepared transactions of other roles. Run it as a superuser, in every database where it is to
-- act, and again when TVIEWs got other owners. The role gets no password.
\set ON_ERROR_STOP on
\if :{?role} \else \set role pgtv_act \endif
\ir looking.sql
BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL search_path = pg_catalog, pg_temp;

SELECT DISTINCT format('GRANT %I TO %I', r.rolname, :'role')
  FROM tviews.registry g
  CROSS JOIN LATERAL unnest(g.base_tables::oid[] || g.view::oid
    || to_regclass(format('%I.%I', g.schema, g.name))::oid) AS x(oid)
  JOIN pg_class c ON c.oid = x.oid
  JOIN pg_roles r ON r.oid = c.relowner
 WHERE NOT r.rolsuper AND r.rolname <> :'role' AND NOT pg_has_role(:'role', r.oid, 'MEMBER')
\gexec

-- Definitions run as their owner alone, confined by a function in pg_temp that belongs to it.
SELECT format('GRANT TEMP ON DATABASE %I TO %I', current_database(), o.rolname)
  FROM (SELECT DISTINCT r.rolname
          FROM tviews.registry g
          JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', g.schema, g.name))
          JOIN pg_roles r ON r.oid = c.relowner
         WHERE NOT r.rolsuper) o
 WHERE NOT has_database_privilege(o.rolname, current_database(), 'TEMP')
\gexec

-- What verify, leases and dead letters record, where `pgtv init` made the schema.
SELECT format('GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgtv TO %I', :'role')
 WHERE to_regnamespace('pgtv') IS NOT NULL
\gexec
SELECT format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA pgtv TO %I', :'role')
 WHERE to_regnamespace('pgtv') IS NOT NULL
\gexec
COMMIT;
