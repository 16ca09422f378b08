-- The schema as pgtv made it at version 1; sql/state/upgrade-1-2.sql starts here.
-- The schema `pgtv`: what has to outlive a run of pgtv. Made by `pgtv init --apply`, dropped by
-- `pgtv init --drop --apply`; nothing else creates it. Owner: the role that runs this.
-- Rows carry the system identifier and the database, so that a restored copy is recognised.
CREATE SCHEMA pgtv;
COMMENT ON SCHEMA pgtv IS 'State of pgtv, the operations toolkit; see docs/operations/VERIFY.md';

CREATE TABLE pgtv.installation (
    version integer NOT NULL,               -- of this schema; see sql/state/
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    installed_by name NOT NULL DEFAULT CURRENT_USER,
    system_identifier text NOT NULL,
    database_oid oid NOT NULL,
    one boolean NOT NULL DEFAULT true UNIQUE CHECK (one)
);
INSERT INTO pgtv.installation (version, system_identifier, database_oid)
SELECT 1, c.system_identifier::text, d.oid
FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database();

CREATE TABLE pgtv.verification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,               -- qualified, quoted as SQL needs it
    table_oid oid NOT NULL,
    verified_at timestamptz NOT NULL,       -- the moment of the snapshot that was compared
    lsn pg_catalog.pg_lsn,
    mode text NOT NULL,                     -- exact | fast | exact sample | fast sample
    rows bigint,
    differing bigint NOT NULL,
    duration_ms double precision NOT NULL,
    verified_by name NOT NULL DEFAULT CURRENT_USER,
    system_identifier text NOT NULL,
    database_oid oid NOT NULL
);
CREATE INDEX verification_newest ON pgtv.verification (table_name, verified_at DESC);

-- People who look may read; only the owner writes (GRANT INSERT to the role of a timer).
GRANT USAGE ON SCHEMA pgtv TO pg_monitor;
GRANT SELECT ON pgtv.installation, pgtv.verification TO pg_monitor;
