"""The stand-in shows what pgtv reads just as the real extension does, and keeps the shop right."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from servers import LAB, TEMPLATE, Database, require_real, shop_server

from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server

pytestmark = pytest.mark.lab

# What pgtv reads of the catalog, in words that do not depend on OIDs.
SURFACE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = 'tviews'::regnamespace
          AND c.relname IN ('pg_tview_meta', 'pg_tview_valid', 'pg_tview_audit_log',
                            'registry', 'stats')""",
    "relations": """
        SELECT c.relname, c.relkind, c.relpersistence, r.rolname
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.relnamespace = 'tviews'::regnamespace AND c.relkind IN ('r', 'v')
          AND c.relname NOT IN ('pg_tview_helpers', 'pg_tview_reads', 'pg_tview_references')""",
    "triggers": """
        SELECT t.tgrelid::regclass::text, t.tgname, t.tgfoid::regproc::text, t.tgtype, t.tgargs,
               t.tgenabled, t.tgparentid <> 0, t.tgoldtable, t.tgnewtable
        FROM pg_trigger t WHERE NOT t.tgisinternal OR t.tgparentid <> 0 AND t.tgconstraint = 0""",
    "kinds": """
        SELECT r.entity, r.schema, r.name, r.view::text, r.identity, r.base_tables::text[],
               r.cascade_kinds, r.typename
        FROM tviews.registry r""",
    "plan": """
        SELECT m.entity, m.identity, m.managed_index_names, t->>'table', t->>'kind', t->'attnums',
               t->'columns', t->>'tview', t->>'entity'
        FROM tviews.pg_tview_meta m CROSS JOIN jsonb_array_elements(m.plan->'tables') t""",
    "tables": """
        SELECT c.oid::regclass::text, c.relpersistence, a.attname, a.attnotnull,
               format_type(a.atttypid, a.atttypmod)
        FROM tviews.pg_tview_meta m JOIN pg_class c ON c.oid = m.table_oid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0""",
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'tv\\_%'""",
    "revision": "SELECT tviews.contract_version(), tviews.pg_tviews_catalog_revision()",
}


@pytest.fixture(scope="module", params=[15, 16, 17, 18], ids=lambda m: f"pg{m}")
def lab_of_each_major(request: pytest.FixtureRequest) -> Iterator[Server]:
    folder = binaries.plain(request.param)
    if folder is None:
        pytest.skip(f"no PostgreSQL {request.param}: tools/install-servers")
    with shop_server(folder, lab=True) as server:
        yield server


@pytest.fixture
def lab(lab_of_each_major: Server) -> Iterator[Database]:
    lab_of_each_major.create_database("one", TEMPLATE)
    yield Database(lab_of_each_major, "one")
    lab_of_each_major.drop_database("one")


@pytest.mark.parametrize("part", SURFACE)
def test_the_surface_is_that_of_the_extension(
    part: str, shop18: Database, lab_shop: Database
) -> None:
    def rows(database: Database) -> list[str]:
        with database.connect() as connection:
            return sorted(map(repr, connection.execute(SURFACE[part]).fetchall()))

    real = rows(shop18)
    assert real
    assert rows(lab_shop) == real


WRITES = """
    UPDATE tb_category SET name = name || '!' WHERE pk_category < 4;
    UPDATE tb_customer SET email = 'x@example.com', name = upper(name) WHERE pk_customer % 7 = 0;
    DELETE FROM "Sales Dept".tb_order_line WHERE pk_order_line % 5 = 0;
    INSERT INTO "Sales Dept".tb_order (fk_customer) VALUES (3), (4), (4);
    UPDATE "Sales Dept".tb_order SET status = 'paid', fk_customer = 9 WHERE pk_order = 12;
    INSERT INTO tb_stock_move (fk_product, moved_on, amount) VALUES (7, '2026-02-02', 1000);
    DELETE FROM tb_stock_move_2025 WHERE fk_product < 20;
    BEGIN; SAVEPOINT a; UPDATE tb_product SET name = 'gone'; ROLLBACK TO a;
    UPDATE tb_product SET price = 1 WHERE pk_product = 5; COMMIT;
    TRUNCATE tb_stock_move_2026;
"""


def test_writes_reach_every_tview(lab: Database) -> None:
    lab.sql(WRITES)
    with lab.connect() as connection:
        found = connection.execute(
            "SELECT view::text, format('%I.%I', schema, name) FROM tviews.registry"
        )
        for view, table in found.fetchall():
            columns = connection.execute(
                "SELECT string_agg(quote_ident(attname), ',') FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0", (table,),
            ).fetchone()  # fmt: skip
            differing = connection.execute(
                f"(SELECT {columns[0]} FROM {view} EXCEPT SELECT {columns[0]} FROM {table})"
                f" UNION ALL (SELECT {columns[0]} FROM {table} EXCEPT SELECT {columns[0]} FROM {view})"
            ).fetchall()
            assert differing == [], table


def test_a_dropped_row_trigger_loses_writes_until_cured(lab: Database) -> None:
    lab.sql("DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON tb_customer;"
            "UPDATE tb_customer SET name = 'lost' WHERE pk_customer = 1")  # fmt: skip
    seen = "SELECT data->'customer'->>'name' FROM \"Sales Dept\".tv_order WHERE fk_customer = 1 LIMIT 1"
    assert lab.sql(seen).strip() == "Customer 1"
    assert lab.pgtv("doctor").returncode == 2
    lab.sql("SELECT tviews.pg_tviews_reregister('public.tv_customer');"
            "SELECT tviews.pg_tviews_refresh('public.tv_customer')")  # fmt: skip
    assert lab.sql(seen).strip() == "lost"
    assert lab.pgtv("doctor", "--only", "triggers").returncode == 0


def test_the_lost_registration_of_a_standing_tview_comes_back(lab: Database) -> None:
    lab.sql("""
        DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer';
        INSERT INTO tviews.pg_tview_meta
            (entity, view_oid, table_oid, definition, plan, needs_reregister)
        VALUES ('customer', 'tviews.public__tv_customer', 'tv_customer',
                rtrim(pg_get_viewdef('tviews.public__tv_customer'::regclass), ';'), '{}', true);
        SELECT tviews.pg_tviews_reregister('tv_customer')""")
    assert lab.pgtv("doctor", "--only", "triggers").returncode == 0
    lab.sql("UPDATE tb_customer SET name = 'after' WHERE pk_customer = 1")
    assert "after" in lab.sql("SELECT data FROM tv_customer WHERE pk_customer = 1")


def test_a_definition_runs_with_its_owners_rights(lab: Database) -> None:
    """A function planted in a definition is called as the TVIEW's owner, whoever writes."""
    lab.sql("""
        SET ROLE shop_owner;
        CREATE TABLE tb_seen (who text);
        CREATE FUNCTION spy(t text) RETURNS text LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.tb_seen VALUES (current_user); RETURN t; END';
        SELECT tviews.pg_tviews_create_or_replace('public.tv_spied', $$
            SELECT c.pk_category AS pk_spied, public.spy(c.name) AS name, '{}'::jsonb AS data
            FROM public.tb_category c $$);
        RESET ROLE;
        UPDATE tb_category SET name = 'x' WHERE pk_category = 1;""")
    assert lab.sql("SELECT DISTINCT who FROM tb_seen").split() == ["shop_owner"]


def test_only_the_owner_acts(lab: Database) -> None:
    lab.sql("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
    with lab.connect(user="stranger") as connection:
        for call in ("refresh('public.tv_customer')", "reregister('public.tv_customer')",
                     "drop('public.tv_segment')"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT tviews.pg_tviews_{call}")


def test_it_is_dropped_whole(lab: Database) -> None:
    with lab.connect() as connection:
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            connection.execute("SELECT tviews.pg_tviews_drop('public.tv_category')")
        connection.execute("SELECT tviews.pg_tviews_drop('public.tv_category', false, true)")
        left = connection.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgargs = 'order_line\\000'"
        ).fetchone()
    assert left == (0,)


@pytest.mark.real
def test_it_refuses_to_stand_beside_the_extension() -> None:
    with new_server(require_real(18), ("pg_tviews",)) as server:
        done = subprocess.run(
            [str(server.binaries / "bin/psql"), "-X", "-v", "ON_ERROR_STOP=1", "-f", str(LAB)],
            env=server.env(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert "beside the real extension" in done.stderr
        assert server.psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'tviews'") == "0\n"
