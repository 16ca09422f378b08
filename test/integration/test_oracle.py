"""An oracle: break a database at random, write to it, and ask whether doctor had warned.

Whenever a write is refused or a TVIEW differs from its definition afterwards, doctor must have said at
least warning before the first write. A counter-example, shrunk, becomes a fault of test/faults.

In tests the same small number of examples each time. tools/test --all takes more, from a seed that is new
each time and is printed; PGTV_ORACLE_SEED and PGTV_ORACLE_EXAMPLES set them. A failure says how it is
replayed, here or without pytest: `python test/integration/test_oracle.py --examples 1000 --seed 7`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent.parent
for folder in (ROOT, ROOT / "test", ROOT / "test" / "faults"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from bench import TEMPLATE, WRITER, WRITES, Bench, above_info, prepare  # noqa: E402
from servers import require_real  # noqa: E402

from pgtv.cluster.server import Server  # noqa: E402
from pgtv.finding import Severity  # noqa: E402

EXAMPLES = int(os.environ.get("PGTV_ORACLE_EXAMPLES") or 25)
SEED = int(os.environ.get("PGTV_ORACLE_SEED") or 0)  # 0: the same examples each time
_names = itertools.count(1)

ENTITIES = (
    "category", "product", "customer", "order", "order_line", "stock", "basket", "search", "segment",
)  # fmt: skip
BASES = (
    "public.tb_category", "public.tb_product", "public.tb_customer", '"Sales Dept".tb_order',
    '"Sales Dept".tb_order_line', "public.tb_stock_move", "public.tb_stock_move_2026",
)  # fmt: skip
TVIEWS = tuple(
    f'"Sales Dept".tv_{e}' if e.startswith("order") else f"public.tv_{e}" for e in ENTITIES
)
VIEWS = tuple(
    f'tviews."Sales Dept__tv_{e}"' if e.startswith("order") else f"tviews.public__tv_{e}"
    for e in ENTITIES
)

_each_trigger = """DO $$ DECLARE t record; BEGIN
SELECT tgname, tgrelid::regclass AS rel, pg_get_triggerdef(g.oid) AS def INTO t FROM pg_trigger g
JOIN pg_proc p ON p.oid = tgfoid WHERE p.pronamespace = 'tviews'::regnamespace
ORDER BY tgrelid::regclass::text, tgname OFFSET {n} LIMIT 1; {do} END $$"""
_on_trigger = st.builds(
    lambda n, do: _each_trigger.format(n=n, do=do),
    st.integers(0, 48),
    st.sampled_from(
        (
            "EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);",
            "EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.rel, t.tgname);",
            "EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', t.rel, t.tgname);",
            "EXECUTE format('ALTER TRIGGER %I ON %s RENAME TO renamed', t.tgname, t.rel);",
            "EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', t.rel);",
            "EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);"
            " EXECUTE regexp_replace(t.def, '\\(''\\w+''\\)', '(''customer'')');",
            "EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);"
            " EXECUTE replace(t.def, 'AFTER INSERT OR DELETE OR UPDATE', 'AFTER UPDATE');",
            "EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);"
            " EXECUTE replace(t.def, ' EXECUTE ', ' WHEN (pg_trigger_depth() > 5) EXECUTE ');",
        )
    ),
)
_in_catalog = st.builds(
    lambda entity, change: f"UPDATE tviews.pg_tview_meta SET {change} WHERE entity = '{entity}'",
    st.sampled_from(ENTITIES),
    st.one_of(
        st.sampled_from(
            (
                "plan = '{}'", "plan = '[]'", "plan = 'null'", "identity = NULL", "identity = '{}'",
                "definition = 'SELECT 1'", "needs_reregister = true", "group_keys = '[\"x\"]'",
                "graphql_typename = 'Thing'", "created_at = now()", "time_refresh = 'external'",
                "uncascaded_policy = 'warn'", "uncascaded_policy = 'full_refresh'",
                "managed_index_names = '{}'", "declared_indexes = '[1]'", "entity = 'renamed'",
                "plan = jsonb_set(plan, '{paths}', '[]')", "plan = jsonb_set(plan, '{tables}', '[]')",
                "plan = jsonb_set(plan, '{embeds}', '[]')", "plan = plan - 'direct'",
                "plan = jsonb_set(plan, '{references}', '[]')", "plan = plan #- '{tables,0}'",
                "plan = plan #- '{paths,0}'", "plan = jsonb_set(plan, '{tables,0,links}', '[]')",
                "plan = jsonb_set(plan, '{tables,0,kind}', '\"mapped\"')",
                "plan = jsonb_set(plan, '{tables,0,kind}', '\"unread\"')",
                "plan = jsonb_set(plan, '{tables,0,columns}', '[]')",
                "plan = jsonb_set(plan, '{tables,0,attnums}', '[1]')",
                "plan = jsonb_set(plan, '{set_operation}', 'true')",
                "plan = jsonb_set(plan, '{direct}', '[]')",
                "plan = jsonb_set(plan, '{version}', '2')",
            )
        ),
        st.builds("table_oid = '{}'".format, st.sampled_from((*TVIEWS, *BASES))),
        st.builds("view_oid = '{}'".format, st.sampled_from(VIEWS)),
    ),
)  # fmt: skip
_rows_of_catalog = st.builds(
    "DELETE FROM tviews.pg_tview_meta WHERE entity = '{}'".format, st.sampled_from(ENTITIES)
)
_in_settings = st.builds(
    "SELECT format('ALTER {} SET {}', current_database()) \\gexec".format,
    st.sampled_from(("DATABASE %I", f"ROLE {WRITER} IN DATABASE %I")),
    st.sampled_from(
        (
            "session_replication_role = replica", "session_replication_role = local",
            "pg_tviews.max_queue_size = 1", "pg_tviews.max_propagation_depth = 1",
            "pg_tviews.max_dependency_depth = 1", "pg_tviews.max_refresh_rows = 1",
            "default_transaction_read_only = on", "search_path = nowhere", "work_mem = ''64kB''",
            "DateStyle = ''SQL, DMY''", "TimeZone = ''Asia/Kolkata''", "row_security = off",
            "extra_float_digits = -15", "default_transaction_isolation = serializable",
            "IntervalStyle = ''sql_standard''", "bytea_output = escape", "jit = off",
            "check_function_bodies = off", "quote_all_identifiers = on",
        )
    ),
)  # fmt: skip
_on_roles = st.builds(
    str.format,
    st.sampled_from(
        (
            "ALTER TABLE {0} OWNER TO postgres",
            "ALTER TABLE {0} OWNER TO postgres; REVOKE ALL ON {0} FROM shop_owner",
            "REVOKE SELECT ON {0} FROM shop_owner",
            "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "GRANT SELECT, UPDATE ON {0} TO " + WRITER,
            'ALTER SCHEMA "Sales Dept" OWNER TO postgres',
            'REVOKE USAGE ON SCHEMA "Sales Dept" FROM shop_owner',
            "REVOKE USAGE ON SCHEMA tviews FROM PUBLIC",
            "REVOKE SELECT ON ALL TABLES IN SCHEMA tviews FROM PUBLIC",
            "REVOKE CREATE ON SCHEMA public FROM shop_owner",
        )
    ),
    st.sampled_from((*BASES[:5], *TVIEWS)),
)
_on_views = st.builds(
    str.format,
    st.sampled_from(
        (
            "DROP VIEW {0} CASCADE",
            "ALTER VIEW {0} RENAME TO renamed",
            "ALTER VIEW {0} SET SCHEMA public",
            "ALTER VIEW {0} OWNER TO postgres",
            "ALTER VIEW {0} SET (security_barrier = on)",
            "ALTER VIEW {0} SET (security_invoker = on)",
            "REVOKE ALL ON {0} FROM shop_owner",
            "COMMENT ON VIEW {0} IS 'mine'",
            "SELECT format('CREATE OR REPLACE VIEW {0} AS SELECT * FROM (%s) x WHERE random() < 2',"
            " rtrim(pg_get_viewdef('{0}'::regclass), ';')) \\gexec",
            "SELECT format('CREATE OR REPLACE VIEW {0} AS SELECT * FROM (%s) x LIMIT 3',"
            " rtrim(pg_get_viewdef('{0}'::regclass), ';')) \\gexec",
            "CREATE OR REPLACE VIEW public.v_open_order AS SELECT o.pk_order, o.fk_customer,"
            ' o.placed_at FROM "Sales Dept".tb_order o',
        )
    ),
    st.sampled_from(VIEWS),
)
_on_tables = st.sampled_from(tuple(zip(TVIEWS, ENTITIES, strict=True))).flatmap(
    lambda pair: st.sampled_from(
        (
            "ALTER TABLE {0} ADD CHECK (pk_{1} < 5) NOT VALID",
            "ALTER TABLE {0} DROP CONSTRAINT tv_{1}_pkey CASCADE",
            "ALTER TABLE {0} ALTER COLUMN data SET NOT NULL",
            "ALTER TABLE {0} SET (autovacuum_enabled = off)",
            "ALTER TABLE {0} REPLICA IDENTITY NOTHING; CREATE PUBLICATION one FOR TABLE {0}",
            "CREATE PUBLICATION everything FOR ALL TABLES",
            "CREATE RULE nothing AS ON UPDATE TO {0} DO INSTEAD NOTHING",
            "CREATE UNIQUE INDEX ON {0} ((data->>'name'))",
            "CREATE INDEX ON {0} ((pk_{1} + 1))",
            "VACUUM {0}",
            "CLUSTER {0} USING tv_{1}_pkey",
            "ALTER TABLE {0} SET UNLOGGED",
        )
    ).map(lambda text: text.format(*pair))
)

MUTATIONS = st.lists(
    st.one_of(
        _on_trigger, _in_catalog, _rows_of_catalog, _in_settings, _on_roles, _on_views, _on_tables
    ),
    min_size=1,
    max_size=3,
)


def example(server: Server, mutations: list[str]) -> None:
    """One database from its template to the verdict."""
    name = f"o{next(_names)}"
    server.create_database(name, TEMPLATE)
    bench = Bench(server, name)
    try:
        healthy = bench.registered()
        for mutation in mutations:
            note(mutation)
            bench.paste((mutation + ";" if "\\gexec" not in mutation else mutation,))
        said = [f for f in above_info(bench.doctor()) if f.severity is not Severity.UNKNOWN]
        refused = bench.write(WRITES, WRITER)
        drift = bench.drift(healthy)
        note(f"refused: {refused[:3]}; differing: {drift}")
        if refused or drift:
            assert said, f"{mutations} was not noticed: refused {refused[:3]}, differing {drift}"
    finally:
        with contextlib.suppress(psycopg.Error):
            server.drop_database(name)


@pytest.fixture(scope="session")
def oracle_server() -> Iterator[Server]:
    with prepare(require_real(18)) as server:
        yield server


def replay(chosen: int, examples: int) -> str:
    """The command that meets the same examples in the same order."""
    return f"python test/integration/test_oracle.py --seed {chosen} --examples {examples}"


@pytest.mark.real
@(seed(SEED) if SEED else lambda test: test)
@settings(
    max_examples=EXAMPLES, derandomize=not SEED, deadline=None, database=None,
    phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(mutations=MUTATIONS)
def test_doctor_warned_before_it_broke(oracle_server: Server, mutations: list[str]) -> None:
    if SEED:
        note(f"again: {replay(SEED, EXAMPLES)}")
    example(oracle_server, mutations)


def main(argv: list[str]) -> int:
    """Many more examples, from a seed of one's own."""
    import argparse

    from pgtv.cluster import binaries

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--major", type=int, default=18)
    args = parser.parse_args(argv)
    folder = binaries.real(args.major)
    if folder is None:
        raise SystemExit(f"the extension for PostgreSQL {args.major} is not installed")
    with prepare(folder) as server:

        @seed(args.seed)
        @settings(
            max_examples=args.examples, deadline=None, database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
        )  # fmt: skip
        @given(mutations=MUTATIONS)
        def search(mutations: list[str]) -> Any:
            example(server, mutations)

        try:
            search()
        except AssertionError as e:
            print(*(f"{x}" for x in (e, *getattr(e, "__notes__", ()))), sep="\n")
            print(f"again: {replay(args.seed, args.examples)}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
