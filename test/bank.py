"""pgbench's own schema with TVIEWs over it."""

from __future__ import annotations

from servers import Database

from pgtv.cluster.server import Server

# A branch's document holds no balance: every transaction changes it, and every account embeds it.
TVIEWS = """
SELECT tviews.pg_tviews_create_or_replace('public.tv_branch', $$
    SELECT b.bid AS pk_branch, jsonb_build_object('number', b.bid) AS data
    FROM public.pgbench_branches b $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_account', $$
    SELECT a.aid AS pk_account, a.bid AS fk_branch,
           jsonb_build_object('balance', a.abalance, 'branch', vb.data) AS data
    FROM public.pgbench_accounts a JOIN public.tv_branch vb ON vb.pk_branch = a.bid $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_teller', $$
    SELECT t.tid AS pk_teller, t.bid AS fk_branch,
           jsonb_build_object('balance', t.tbalance, 'branch', vb.data) AS data
    FROM public.pgbench_tellers t JOIN public.tv_branch vb ON vb.pk_branch = t.bid $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_balance', $$
    SELECT b.bid AS pk_balance, jsonb_build_object('branch', b.bbalance,
           'tellers', coalesce(sum(t.tbalance), 0)) AS data
    FROM public.pgbench_branches b LEFT JOIN public.pgbench_tellers t ON t.bid = b.bid
    GROUP BY b.bid, b.bbalance $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_activity', $$
    SELECT t.tid AS pk_activity, jsonb_build_object('n', count(h.tid),
           'moved', coalesce(sum(h.delta), 0)) AS data
    FROM public.pgbench_tellers t LEFT JOIN public.pgbench_history h ON h.tid = t.tid
    GROUP BY t.tid $$);
ANALYZE;
"""

# a definition is evaluated without a superuser's rights: somebody else has to own it
OWNED = """
CREATE ROLE banker;
DO $$ DECLARE r regclass; BEGIN
  FOR r IN SELECT c.oid FROM pg_class c WHERE relkind IN ('r', 'v')
    AND (relnamespace = 'public'::regnamespace OR relname LIKE 'public\\_\\_tv\\_%')
  LOOP EXECUTE format('ALTER TABLE %s OWNER TO banker', r); END LOOP; END $$;
"""
DRIFTED = """
SET session_replication_role = replica;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 20 = 0;
UPDATE pgbench_tellers SET tbalance = tbalance + 1;
DELETE FROM tv_account WHERE pk_account % 500 = 0;
RESET session_replication_role;
"""


def bank_of(server: Server, name: str, scale: int) -> Database:
    """A new database with so many hundred thousand accounts."""
    server.create_database(name)
    server.psql("CREATE EXTENSION pg_tviews", name)
    server.program("pgbench", "-i", "-q", "-s", str(scale), name)
    server.psql("CREATE INDEX ON pgbench_accounts (bid); CREATE INDEX ON pgbench_tellers (bid);"
                "CREATE INDEX ON pgbench_history (tid)", name)  # fmt: skip
    server.psql(TVIEWS, name)
    return Database(server, name)
