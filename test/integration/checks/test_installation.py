"""Library, SQL objects and server that do not go together: on private copies of the real trees."""

from __future__ import annotations

import psycopg
import pytest
from servers import Database
from trees import NEW, OLD, copied, put

from pgtv.checks.examine import Examination, examine
from pgtv.checks.registry import all_checks
from pgtv.errors import ClusterError
from pgtv.finding import Effect, Finding, Severity

WRITE = "UPDATE public.tb_customer SET name = name || 'x' WHERE pk_customer = 1"


def look(database: Database) -> Examination:
    return examine(database.snapshot(), all_checks().values())


def only(database: Database, check: str) -> Finding:
    found = [f for f in look(database).findings if f.check == check]
    assert len(found) == 1, [(f.check, f.detail) for f in look(database).findings]
    return found[0]


def above_info(database: Database) -> list[str]:
    return [f.id for f in look(database).findings if f.severity is not Severity.INFO]


def test_new_library_old_sql() -> None:
    with copied(OLD) as (tree, server, shop):
        assert above_info(shop) == []
        server.stop()
        put(tree, NEW, library=True, sql=True)
        server.start()
        with shop.connect() as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(WRITE)
        assert refused.value.sqlstate == "55000"
        finding = only(shop, "library-mismatch")
        assert (finding.severity, finding.effect) == (Severity.CRITICAL, Effect.WRITES_FAIL)
        assert "public.tv_customer" in finding.affects
        assert only(shop, "update-available").caused_by == finding.id
        assert finding.remedy
        shop.sql("\n".join(finding.remedy.sql))
        assert above_info(shop) == []
        shop.sql(WRITE)
        assert shop.sql("SELECT data->>'name' FROM tv_customer WHERE pk_customer = 1").strip() == (
            "Customer 1x"
        )


def test_old_library_new_sql() -> None:
    with copied(NEW) as (tree, server, shop):
        server.stop()
        put(tree, OLD, library=True, sql=False)
        server.start()
        with shop.connect() as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(WRITE)
        assert refused.value.sqlstate == "55000"
        finding = only(shop, "library-mismatch")
        assert finding.severity is Severity.CRITICAL
        assert finding.remedy
        assert not finding.remedy.sql, "no SQL leads back to an older release"
        assert NEW in (finding.remedy.note or "")
        server.stop()
        put(tree, NEW, library=True, sql=False)
        server.start()
        assert above_info(shop) == []
        shop.sql(WRITE)


def test_not_preloaded() -> None:
    with copied(NEW) as (_, server, shop):
        server.stop()
        server.configure({"shared_preload_libraries": "pg_stat_statements"})
        server.start()
        finding = only(shop, "not-preloaded")
        assert finding.severity is Severity.WARNING
        assert finding.remedy
        shop.sql("\n".join(finding.remedy.sql))
        server.restart()
        assert shop.sql("SHOW shared_preload_libraries").strip() == "pg_stat_statements, pg_tviews"
        assert above_info(shop) == []


def test_library_gone() -> None:
    with copied(NEW) as (tree, server, shop):
        server.stop()
        server.configure({"shared_preload_libraries": ""})
        (tree / "lib/pg_tviews.so").rename(tree / "lib/away.so")
        server.start()
        with shop.connect() as connection, pytest.raises(psycopg.Error):
            connection.execute(WRITE)
        finding = only(shop, "library-unloadable")
        assert (finding.severity, finding.effect) == (Severity.CRITICAL, Effect.WRITES_FAIL)
        assert "could not access file" in finding.detail
        # what the finding warns of: preloaded, the server would not come up
        server.stop()
        server.configure({"shared_preload_libraries": "pg_tviews"})
        with pytest.raises(ClusterError):
            server.start()
        (tree / "lib/away.so").rename(tree / "lib/pg_tviews.so")
        server.start()
        assert above_info(shop) == []


def test_dropped_extension(shop: Database) -> None:
    shop.sql("CREATE TABLE public.tv_guide (pk_guide bigint PRIMARY KEY, title text)")
    shop.sql("DROP EXTENSION pg_tviews CASCADE")
    finding = only(shop, "extension-missing")
    assert finding.severity is Severity.CRITICAL
    assert len(finding.affects) == 9
    assert "public.tv_guide" not in finding.affects
    assert finding.remedy
    shop.sql("\n".join(finding.remedy.sql))
    left = {f.object: f for f in look(shop).findings if f.check == "registration-missing"}
    assert set(left) == set(finding.affects)
    assert all(f.severity is Severity.WARNING for f in left.values())


def test_dropped_extension_that_left_its_views(shop: Database) -> None:
    """A DROP that takes the extension along passes the library by, and the views stay."""
    shop.sql(
        "ALTER EXTENSION pg_tviews DROP TABLE tviews.pg_tview_audit_log;"
        " DROP TABLE tviews.pg_tview_audit_log CASCADE;"
    )
    shop.sql("UPDATE public.tb_category SET name = 'missed' WHERE pk_category = 1")
    created = only(shop, "extension-missing").remedy
    assert created
    shop.sql("\n".join(created.sql))
    for _ in range(9):
        found = [f for f in look(shop).findings if f.check == "registration-missing"]
        if not found:
            break
        assert found[0].remedy
        shop.sql("\n".join(found[0].remedy.sql))
    assert above_info(shop) == []
    assert "missed" in shop.sql("SELECT data FROM public.tv_product WHERE fk_category = 1 LIMIT 1")


def test_a_database_without_the_extension_is_unknown_and_nothing_else(empty: Database) -> None:
    """A probe that points at the wrong database must not be green."""
    empty.sql("CREATE TABLE tv_guide (pk_guide bigint PRIMARY KEY, title text)")
    (finding,) = look(empty).findings
    assert (finding.check, finding.severity) == ("extension-missing", Severity.UNKNOWN)
    assert empty.pgtv("doctor").returncode == 3
    assert empty.pgtv("doctor", "--unknown-ok").returncode == 0


def test_schema_only_restore(shop: Database) -> None:
    """Views and triggers come back, registrations and rows do not."""
    dump = shop.program("pg_dump", "--schema-only", shop.name)
    other = f"{shop.name}_restored"
    shop.server.create_database(other)
    try:
        restored = Database(shop.server, other)
        restored.sql(dump)
        found = [f for f in look(restored).findings if f.check == "registration-missing"]
        assert len(found) == 9
        assert all(f.severity is Severity.CRITICAL for f in found)
        while found:
            assert found[0].remedy
            restored.sql("\n".join(found[0].remedy.sql))
            left = [f for f in look(restored).findings if f.check == "registration-missing"]
            assert len(left) < len(found)
            found = left
        restored.sql("INSERT INTO public.tb_customer (name, email) VALUES ('a', 'b')")
        assert restored.sql("SELECT data->>'name' FROM public.tv_customer").strip() == "a"
    finally:
        shop.server.drop_database(other)


def test_restore_of_stale_names_loses_every_registration(shop: Database) -> None:
    """What names-stale warns of, and that its cure prevents it."""
    shop.sql("ALTER TABLE public.tb_category RENAME TO tb_kind")
    warned = [f for f in look(shop).findings if f.check == "names-stale"]
    assert {f.object for f in warned} == {
        "public.tv_category", "public.tv_search"
    }  # fmt: skip
    assert _registrations_after_restore(shop) == 0
    for finding in warned:
        assert finding.remedy
        shop.sql("\n".join(finding.remedy.sql))
    assert _registrations_after_restore(shop) == 9


def test_a_healthy_restore_says_nothing(shop: Database) -> None:
    """A view that groups by a primary key is restored after the registrations."""
    shop.sql(
        "SELECT tviews.pg_tviews_create('public.tv_load', $$ SELECT c.pk_customer AS pk_load, c.name,"
        ' count(o.pk_order) AS orders FROM public.tb_customer c LEFT JOIN "Sales Dept".tb_order o'
        " ON o.fk_customer = c.pk_customer GROUP BY c.pk_customer $$)"
    )
    other = f"{shop.name}_restored"
    shop.server.create_database(other)
    try:
        restored = Database(shop.server, other)
        restored.sql(shop.program("pg_dump", shop.name))
        assert above_info(restored) == []
    finally:
        shop.server.drop_database(other)


def _registrations_after_restore(shop: Database) -> int:
    other = f"{shop.name}_restored"
    shop.server.create_database(other)
    try:
        dump = shop.folder / f"{other}.dump"
        shop.program("pg_dump", "-Fc", "-f", str(dump), shop.name)
        try:
            shop.program("pg_restore", "-d", other, str(dump))
        except ClusterError as e:
            assert "names tables that do not exist" in str(e)
        return int(Database(shop.server, other).sql("SELECT count(*) FROM tviews.pg_tview_meta"))
    finally:
        shop.server.drop_database(other)


def test_unknown_contract(shop: Database) -> None:
    shop.sql("CREATE OR REPLACE FUNCTION tviews.contract_version() RETURNS int LANGUAGE sql AS"
             " 'SELECT 99'")  # fmt: skip
    assert only(shop, "catalog-unknown").severity is Severity.UNKNOWN


def test_jsonb_delta(shop: Database) -> None:
    assert only(shop, "jsonb-delta-missing").severity is Severity.INFO


def test_lab(lab_shop: Database) -> None:
    assert only(lab_shop, "lab-in-use").severity is Severity.INFO
