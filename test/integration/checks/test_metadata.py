"""Faults of the catalog beyond those that the checks declare: what is said, whether it is true of
writes, and that the printed cures bring everything back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from contents import differing, write_everywhere
from servers import Database

from pgtv.checks.examine import Examination, examine
from pgtv.checks.registry import all_checks
from pgtv.finding import Effect, Finding, Severity

META = "tviews.pg_tview_meta"
CUSTOMER = f"WHERE entity = 'customer'; SELECT 1 FROM {META} WHERE entity = 'customer'"
REPLACE = "CREATE OR REPLACE VIEW tviews.public__tv_customer AS SELECT pk_customer, id,"


@dataclass(frozen=True)
class Fault:
    """break_, and the finding that has to be on top: its check, object and effect."""

    break_: str
    check: str
    effect: Effect
    object: str = "public.tv_customer"


FAULTS = {
    "plan lost": Fault(
        f"UPDATE {META} SET plan = '{{}}' WHERE entity IN ('customer', 'stock', 'order')",
        "plan-unreadable", Effect.WRITES_FAIL,
    ),
    "paths lost": Fault(
        f"UPDATE {META} SET plan = jsonb_set(plan, '{{paths}}', '[]') {CUSTOMER}",
        "plan-disagrees", Effect.ROWS_WRONG,
    ),
    "path from nowhere": Fault(
        f"UPDATE {META} SET plan = jsonb_set(plan, '{{paths,0,source_oid}}', '99') {CUSTOMER}",
        "plan-disagrees", Effect.ROWS_WRONG,
    ),
    "table bound to nothing": Fault(
        f"UPDATE {META} SET table_oid = 99999999 {CUSTOMER}",
        "table-mismatch", Effect.WRITES_FAIL,
    ),
    "table bound to a copy": Fault(
        "CREATE TABLE public.tv_customer_old (LIKE public.tv_customer INCLUDING ALL);"
        " INSERT INTO public.tv_customer_old SELECT * FROM public.tv_customer;"
        f" UPDATE {META} SET table_oid = 'public.tv_customer_old'::regclass {CUSTOMER}",
        "table-mismatch", Effect.ROWS_WRONG,
    ),
    "view bound to nothing": Fault(
        f"UPDATE {META} SET view_oid = 99999999 {CUSTOMER}",
        "view-mismatch", Effect.WRITES_FAIL,
    ),
    "view bound to another's": Fault(
        f"UPDATE {META} SET view_oid = 'tviews.public__tv_category' {CUSTOMER}",
        "view-mismatch", Effect.WRITES_FAIL,
    ),
    "view bound to a table": Fault(
        f"UPDATE {META} SET view_oid = 'public.tb_customer' {CUSTOMER}",
        "view-mismatch", Effect.WRITES_FAIL,
    ),
    "view renamed": Fault(
        "ALTER VIEW tviews.public__tv_customer RENAME TO elsewhere",
        "view-mismatch", Effect.RISK,
    ),
    "view moved": Fault(
        "ALTER VIEW tviews.public__tv_customer SET SCHEMA public",
        "view-mismatch", Effect.RISK,
    ),
    "view replaced": Fault(
        f"{REPLACE} jsonb_build_object('name', upper(name)) AS data FROM public.tb_customer",
        "changed-since", Effect.ROWS_WRONG,
    ),
    "view widened": Fault(
        f"{REPLACE} jsonb_build_object('name', name) AS data, 1 AS extra FROM public.tb_customer",
        "columns-disagree", Effect.WRITES_FAIL,
    ),
    "identity lost": Fault(
        f"UPDATE {META} SET identity = NULL {CUSTOMER}",
        "identity-disagrees", Effect.WRITES_FAIL,
    ),
    "mapped registration lost": Fault(
        f"DELETE FROM {META} WHERE entity = 'segment'",
        "registration-missing", Effect.WRITES_FAIL, "public.tv_segment",
    ),
    "definition of something else": Fault(
        f"UPDATE {META} SET definition = 'SELECT pk_category FROM public.tb_category' {CUSTOMER}",
        "definition-disagrees", Effect.RISK,
    ),
    "table gone": Fault(
        "SET event_triggers = off; CREATE SCHEMA z;"
        " SELECT tviews.pg_tviews_create('z.tv_short', 'SELECT pk_customer AS pk_short, name"
        " FROM public.tb_customer', '{\"typename\": \"Brief\"}'); DROP SCHEMA z CASCADE",
        "table-mismatch", Effect.WRITES_FAIL, "z.tv_short",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault(fault: Fault, shop: Database) -> None:
    shop.sql(fault.break_)
    finding = _top(shop, fault)
    assert finding.effect is fault.effect
    assert _writes_fail(shop) is (fault.effect is Effect.WRITES_FAIL), finding.detail
    _cure_all(shop)
    assert differing(shop) == {}
    write_everywhere(shop)
    assert differing(shop) == {}


def test_every_registration_lost_and_put_back_one_cure_after_the_other(shop: Database) -> None:
    shop.sql(f"DELETE FROM {META}")
    shop.sql("UPDATE public.tb_product SET name = name || '!'")
    found = [f for f in _look(shop).findings if f.check == "registration-missing"]
    assert len(found) == 9
    assert all(f.title.startswith("Metadata not found for TVIEW: ") for f in found)
    _cure_all(shop)
    assert differing(shop) == {}
    write_everywhere(shop)
    assert differing(shop) == {}


def test_a_lost_registration_keeps_its_name_whatever_it_is(shop: Database) -> None:
    schema = '"Ünïque ""dots.and"" 🙂"'
    shop.sql(f"CREATE SCHEMA {schema}")
    name = "x" * 40
    shop.sql(
        f"CREATE TABLE public.tb_{name} (pk_{name} bigint PRIMARY KEY, v text);"
        f" SELECT tviews.pg_tviews_create('{schema}.tv_{name}',"
        f" 'SELECT pk_{name}, v FROM public.tb_{name}');"
        f" DELETE FROM {META} WHERE entity = '{name}';"
        f" INSERT INTO public.tb_{name} VALUES (1, 'missed')"
    )
    finding = _one(shop, "registration-missing")
    assert finding.remedy
    assert finding.remedy.sql, finding.remedy
    shop.sql("\n".join(finding.remedy.sql))
    assert _one_or_none(shop, "registration-missing") is None
    assert shop.sql(f"SELECT v FROM {schema}.tv_{name}").strip() == "missed"


def test_people_may_call_their_tables_as_they_like(shop: Database) -> None:
    shop.sql("""
        CREATE TABLE public.tv_guide (pk_guide bigint PRIMARY KEY, channel text);
        CREATE TABLE public.tv_show (id int, pk_show int UNIQUE) WITH (autovacuum_enabled = off);
        CREATE TABLE public.tv_log (pk_log bigint, at date) PARTITION BY RANGE (at);
        CREATE VIEW public.tv_today AS SELECT * FROM public.tv_guide;
        CREATE MATERIALIZED VIEW public.tv_rating AS SELECT pk_guide FROM public.tv_guide;
    """)
    assert not [f for f in _look(shop).findings if f.severity is not Severity.INFO]


def test_a_table_with_the_shape_of_a_tview_is_a_warning(shop: Database) -> None:
    """As `pg_restore -n public` leaves them: no view, no trigger, no row."""
    shop.sql(
        "CREATE TABLE public.tv_lone (pk_lone bigint PRIMARY KEY, data jsonb)"
        " WITH (fillfactor = 85)"
    )
    finding = _one(shop, "registration-missing")
    assert finding.severity is Severity.WARNING
    assert finding.remedy
    assert not finding.remedy.sql
    assert "snapshot" in (finding.remedy.note or "")


def test_a_function_replaced_is_found_and_a_grant_is_not(shop: Database) -> None:
    shop.sql("""
        CREATE FUNCTION public.shout(t text) RETURNS text IMMUTABLE LANGUAGE sql
            AS 'SELECT upper(t)';
        SELECT tviews.pg_tviews_create('public.tv_loud',
            'SELECT pk_category AS pk_loud, public.shout(name) AS name FROM public.tb_category');
    """)
    assert _one_or_none(shop, "changed-since") is None
    shop.sql("GRANT EXECUTE ON FUNCTION public.shout(text) TO shop_owner")
    granted = _one(shop, "changed-since")
    assert granted.severity is Severity.INFO, "GRANT renews the row as well"
    shop.sql("""
        CREATE FUNCTION public.hush(t text) RETURNS text IMMUTABLE LANGUAGE sql
            AS 'SELECT lower(t)';
        SELECT tviews.pg_tviews_create('public.tv_quiet',
            'SELECT pk_category AS pk_quiet, public.hush(name) AS name FROM public.tb_category');
        CREATE OR REPLACE FUNCTION public.hush(t text) RETURNS text IMMUTABLE LANGUAGE sql
            AS 'SELECT left(t, 1)';
    """)
    found = {f.object: f for f in _look(shop).findings if f.check == "changed-since"}
    assert found["public.tv_quiet"].severity is Severity.WARNING
    remedy = found["public.tv_quiet"].remedy
    assert remedy
    shop.sql("\n".join(remedy.sql))
    assert shop.sql("SELECT name FROM public.tv_quiet WHERE pk_quiet = 1").strip() == "C"


def _look(shop: Database) -> Examination:
    return examine(shop.snapshot(), all_checks().values())


def _one_or_none(shop: Database, check: str) -> Finding | None:
    found = [f for f in _look(shop).findings if f.check == check]
    assert len(found) < 2, [f.id for f in found]
    return found[0] if found else None


def _one(shop: Database, check: str) -> Finding:
    found = _one_or_none(shop, check)
    assert found, [f.id for f in _look(shop).findings]
    return found


def _top(shop: Database, fault: Fault) -> Finding:
    """The finding that was expected, and it has to be a cause, not the consequence of another."""
    examination = _look(shop)
    for finding in examination.causes:
        if (finding.check, finding.object) == (fault.check, fault.object):
            return finding
    raise AssertionError(
        "\n".join(f"{f.severity} {f.id} caused by {f.caused_by}" for f in examination.findings)
    )


def _cure_all(shop: Database) -> None:
    """Paste the first cure printed, look again, until nothing above info is left."""
    done: set[str] = set()
    while True:
        above = [f for f in _look(shop).causes if f.severity is not Severity.INFO]
        if not above:
            return
        finding = above[0]
        assert finding.id not in done, f"its cure did not cure it: {finding.id} {finding.remedy}"
        done.add(finding.id)
        assert finding.remedy
        assert finding.remedy.sql, f"nothing to paste: {finding}"
        shop.sql("\n".join(finding.remedy.sql))


def _writes_fail(shop: Database) -> bool:
    """Whether any write to a base table fails; each in a session of its own, rolled back."""
    failed = []
    for write in (
        "UPDATE public.tb_category SET name = name || 'x' WHERE pk_category = 1",
        "UPDATE public.tb_product SET name = name || 'x' WHERE pk_product = 1",
        "UPDATE public.tb_customer SET name = name || 'x' WHERE pk_customer = 1",
        "UPDATE \"Sales Dept\".tb_order SET status = status || 'x' WHERE pk_order = 1",
        "UPDATE public.tb_stock_move SET amount = amount + 1 WHERE pk_stock_move = 1",
    ):
        try:
            with shop.connect() as connection:
                connection.execute(write.encode())
        except psycopg.Error as e:
            failed.append((write, e))
    return bool(failed)


def test_a_plain_table_with_a_tviews_columns_becomes_one(shop18: Database, tmp_path: Path) -> None:
    """As one that was made while the library was not loaded; replicated ones and others are meant."""
    shop18.sql(
        "SET ROLE shop_owner;"
        "CREATE TABLE tv_guide (pk_guide bigint PRIMARY KEY, name text);"
        "CREATE TABLE tv_copy (pk_copy bigint PRIMARY KEY, data jsonb);"
        "CREATE TABLE tv_sign (pk_sign bigint, data jsonb);"
        "INSERT INTO tv_sign VALUES (1, '{}')"
    )
    shop18.sql(
        "CREATE SUBSCRIPTION copies CONNECTION 'dbname=nowhere' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE, enabled = false)"
    )
    try:
        shop18.sql(
            "INSERT INTO pg_subscription_rel VALUES ((SELECT oid FROM pg_subscription"
            " WHERE subname = 'copies' AND subdbid = (SELECT oid FROM pg_database WHERE datname"
            " = current_database())), 'tv_copy'::regclass, 'r', NULL)"
        )
        found = examine(shop18.snapshot(), all_checks().values()).findings
    finally:  # a database with a subscription cannot be dropped
        shop18.sql(
            "DELETE FROM pg_subscription_rel WHERE srrelid = 'tv_copy'::regclass;"
            "DROP SUBSCRIPTION copies"
        )
    (said,) = [f for f in found if f.check == "registration-missing"]
    assert (said.object, said.severity) == ("public.tv_sign", Severity.WARNING)
    shop18.sql("DROP TABLE tv_copy")
    migration = tmp_path / "sign.sql"
    migration.write_text(
        "CREATE TABLE public.tv_sign AS SELECT c.pk_category AS pk_sign,"
        " jsonb_build_object('name', c.name) AS data FROM public.tb_category c;"
    )
    done = shop18.pgtv("repair", "metadata", "--from", str(migration), "--apply")
    assert done.returncode == 0, done.stderr
    assert differing(shop18) == {}
    shop18.sql("UPDATE tb_category SET name = 'new' WHERE pk_category = 2")
    assert shop18.sql("SELECT data->>'name' FROM tv_sign WHERE pk_sign = 2") == "new\n"
