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
SELECT 3, c.system_identifier::text, d.oid
FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database();

CREATE TABLE pgtv.verification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,               -- qualified, quoted as SQL needs it
    table_oid oid NOT NULL,
    verified_at timestamptz NOT NULL,       -- the moment of the snapshot that was compared
    lsn pg_catalog.pg_lsn,
    mode text NOT NULL,                     -- exact | fast | since; merge: rows that differed then were brought
    rows bigint,
    differing bigint NOT NULL,
    duration_ms double precision NOT NULL,
    verified_by name NOT NULL DEFAULT CURRENT_USER,
    system_identifier text NOT NULL,
    database_oid oid NOT NULL,
    baseline jsonb                          -- what verify --since last can build on
);
CREATE INDEX verification_newest ON pgtv.verification (table_name, verified_at DESC);

-- Triggers of TVIEWs that were disabled on purpose and for a time: `pgtv triggers disable`.
-- A lease ends when lease_trigger holds none of its triggers and nothing is owed.
CREATE TABLE pgtv.lease (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    taken_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    until timestamptz NOT NULL,             -- when somebody should have enabled them again
    reason text NOT NULL,
    taken_by name NOT NULL DEFAULT CURRENT_USER,
    entities text[] NOT NULL,               -- whose triggers were disabled
    owed text[] NOT NULL DEFAULT '{}',      -- entities whose rows have to be brought up to date
    enabled_at timestamptz,                 -- when its last trigger got its state back
    enabled_by name,
    system_identifier text NOT NULL,
    database_oid oid NOT NULL
);

-- The states of before. A trigger is in one lease at most: nobody records `disabled` as the state of
-- before because somebody else's lease came first.
CREATE TABLE pgtv.lease_trigger (
    lease bigint NOT NULL REFERENCES pgtv.lease ON DELETE CASCADE,
    entity text NOT NULL,
    relation oid NOT NULL,
    relation_name text NOT NULL,            -- qualified, quoted as SQL needs it
    trigger oid NOT NULL,
    trigger_name name NOT NULL,
    enabled "char" NOT NULL CHECK (enabled IN ('O', 'D', 'R', 'A')),    -- pg_trigger.tgenabled
    system_identifier text NOT NULL,
    database_oid oid NOT NULL,
    PRIMARY KEY (system_identifier, database_oid, trigger)
);

-- Prepared transactions that `pgtv 2pc` ended, and what is known of what they held.
CREATE TABLE pgtv.dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gid text NOT NULL,
    owner name,
    database_name name,
    prepared_at timestamptz,
    ended_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    ended_by name NOT NULL DEFAULT CURRENT_USER,
    -- before: committing | rolling back; after: committed | rolled back | ended by somebody else |
    -- not ended: REASON
    outcome text NOT NULL,
    tviews text[] NOT NULL DEFAULT '{}',    -- those that it touched, qualified
    detail jsonb,
    system_identifier text NOT NULL,
    database_oid oid NOT NULL
);

-- People who look may read; only the owner writes. What the role of a timer needs, to record and to
-- trim what it recorded, sql/roles/looking.sql grants with -v records=on.
GRANT USAGE ON SCHEMA pgtv TO pg_monitor;
GRANT SELECT ON pgtv.installation, pgtv.verification, pgtv.lease, pgtv.lease_trigger, pgtv.dead_letter
    TO pg_monitor;
