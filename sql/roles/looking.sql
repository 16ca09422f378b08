-- The least role for looking: what doctor, status, snapshot, graph and explain need, and no more.
--
--   psql -d DATABASE -f looking.sql                       makes the role pgtv_look
--   psql -d DATABASE -v role=NAME -f looking.sql          another name
--   psql -d DATABASE -v contents=on -f looking.sql        may read all rows too, for verify
--   psql -d DATABASE -v records=on -f looking.sql         may record what verify found: for a timer
--
-- Run it as a superuser, in every database that is to be looked at; running it again changes nothing.
-- The role gets no password: set one (\password pgtv_look), or let pg_hba.conf decide.
\set ON_ERROR_STOP on
\if :{?role} \else \set role pgtv_look \endif
\if :{?contents} \else \set contents off \endif
\if :{?records} \else \set records off \endif
BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL search_path = pg_catalog, pg_temp;

SELECT format('CREATE ROLE %I LOGIN', :'role')
 WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = :'role')
\gexec
GRANT CONNECT ON DATABASE :"DBNAME" TO :"role";

-- Other roles' sessions, the progress of standbys, hidden settings.
SELECT format('GRANT pg_monitor TO %I', :'role')
 WHERE NOT pg_has_role(:'role', 'pg_monitor', 'MEMBER')
\gexec

-- The extension's schema and catalog are open to everybody unless somebody closed them.
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, :'role')
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_tviews' AND NOT has_schema_privilege(:'role', n.oid, 'USAGE')
\gexec
SELECT format('GRANT SELECT ON TABLE %s TO %I', c.oid::regclass, :'role')
  FROM pg_extension e
  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                  AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
  JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'v')
 WHERE e.extname = 'pg_tviews' AND c.relname <> 'pg_tview_audit_log'
   AND NOT has_table_privilege(:'role', c.oid, 'SELECT')
\gexec

-- What pgtv recorded of verifications, where `pgtv init` made its schema.
SELECT format('GRANT USAGE ON SCHEMA pgtv TO %I', :'role')
 WHERE to_regnamespace('pgtv') IS NOT NULL
\gexec
SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA pgtv TO %I', :'role')
 WHERE to_regnamespace('pgtv') IS NOT NULL
\gexec

-- verify writes down what it found, deletes all but the newest records of a TVIEW, and clears in those
-- what it builds on no more. It is told which they are by the rows themselves, so it may write any.
\if :records
SELECT format('GRANT INSERT, DELETE, UPDATE (baseline) ON pgtv.verification TO %I', :'role')
 WHERE EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('pgtv.verification')
                 AND attname = 'baseline' AND NOT attisdropped)
\gexec
\endif

-- verify compares rows, so it has to read them: all tables, views and schemas, nothing to write.
\if :contents
SELECT format('GRANT pg_read_all_data TO %I', :'role')
 WHERE NOT pg_has_role(:'role', 'pg_read_all_data', 'MEMBER')
\gexec
\endif
COMMIT;
