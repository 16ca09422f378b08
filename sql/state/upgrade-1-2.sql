-- The schema `pgtv` from version 1 to 2: leases of triggers, and what became of prepared transactions.
-- Run by `pgtv init --apply` where version 1 stands, as the schema's owner; records stay.
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

GRANT SELECT ON pgtv.lease, pgtv.lease_trigger, pgtv.dead_letter TO pg_monitor;

UPDATE ONLY pgtv.installation SET version = 2;
