"""verify --since last: it says what a comparison of every row says, whatever was written; what it
cannot see is shown; and where it cannot tell, it compares every row and says why."""

from __future__ import annotations

import contextlib
import html
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import ROOT, THOROUGH, Database

from pgtv.graph.select import select
from pgtv.rows.baseline import Baseline
from pgtv.rows.compare import Wanted
from pgtv.rows.result import Result, State
from pgtv.rows.run import Plan, verify_all

pytestmark = pytest.mark.sampled(2)

QUIET = "SET session_replication_role = replica;"  # DML that no trigger sees
ORDER, LINE = '"Sales Dept".tb_order', '"Sales Dept".tb_order_line'


def whole(database: Database) -> dict[str, Result]:
    """Every row compared, with what the next run can build on."""
    snapshot = database.snapshot()
    plan = Plan(snapshot, database.target(), select(snapshot), Wanted(limit=1000), remember=True)
    return {r.tview: r for r in verify_all(plan)}


def since(database: Database, baselines: dict[int, Baseline]) -> dict[str, Result]:
    snapshot = database.snapshot()
    plan = Plan(
        snapshot, database.target(), select(snapshot), Wanted(limit=1000), baselines=baselines
    )
    return {r.tview: r for r in verify_all(plan)}


def kept(results: dict[str, Result]) -> dict[int, Baseline]:
    return {r.table_oid: r.baseline for r in results.values() if r.baseline}


def verdict(result: Result) -> tuple[Any, ...]:
    found = sorted((d.kind, d.key) for d in result.differences)
    return result.state, result.missing, result.extra, result.changed, found


def why(result: Result) -> str | None:
    assert result.since is not None
    return result.since.whole


def report(database: Database, *args: str, exit: int, user: str | None = None) -> dict[str, Any]:
    done = database.pgtv("verify", "--since", "last", "--format", "json", *args, user=user)
    assert done.returncode == exit, done.stdout + done.stderr
    document = json.loads(done.stdout)
    schema = json.loads((ROOT / "schemas" / "pgtv.verify.1.json").read_text())
    jsonschema.validate(document, schema)
    return {t["tview"]: t for t in document["tviews"]}


# Writes that a shop sees; a and b are keys. Some fail (a parent that is gone): so they do in life.
WRITES = (
    "UPDATE tb_customer SET name = name || '.' WHERE pk_customer = {a}",
    "UPDATE tb_customer SET email = email || '.' WHERE pk_customer IN ({a}, {b})",
    "UPDATE tb_category SET name = name || '.' WHERE pk_category = {a} % 10 + 1",
    "UPDATE tb_product SET fk_category = {b} % 10 + 1 WHERE pk_product = {a}",
    "UPDATE tb_product SET price = price + 1 WHERE pk_product = {a}",
    ORDER.join(("UPDATE ", " SET fk_customer = {b} WHERE pk_order = {a}")),
    ORDER.join(("UPDATE ", " SET status = 'open' WHERE pk_order = {a}")),
    ORDER.join(("UPDATE ", " SET placed_at = now() WHERE pk_order % 50 = {a} % 50")),
    LINE.join(("DELETE FROM ", " WHERE pk_order_line = {a}")),
    LINE.join(("DELETE FROM ", " WHERE fk_order = {a}")),
    ORDER.join(("DELETE FROM ", " WHERE pk_order = {a}")),
    LINE.join(("UPDATE ", " SET fk_product = {b} WHERE pk_order_line = {a}")),
    LINE.join(("INSERT INTO ", " (fk_order, fk_product) VALUES ({a}, {b})")),
    "INSERT INTO tb_customer (name, email) VALUES ('new {a}', 'x')",
    "INSERT INTO tb_customer (pk_customer, name, email) OVERRIDING SYSTEM VALUE"
    " VALUES ({a}, 'again', 'x')",
    "DELETE FROM tb_customer WHERE pk_customer = {a}",
    "INSERT INTO tb_stock_move (fk_product, moved_on, amount) VALUES ({a}, '2026-05-05', 3)",
    "UPDATE tb_stock_move SET amount = amount + 1 WHERE pk_stock_move = {a}",
    "UPDATE tb_stock_move SET moved_on = moved_on + 200 WHERE pk_stock_move = {a}",
    "UPDATE tb_stock_move SET fk_product = {b} WHERE pk_stock_move = {a}",
    "DELETE FROM tb_stock_move WHERE pk_stock_move = {a}",
    "UPDATE tb_stock_move SET amount = amount + 1",
    "TRUNCATE tb_stock_move_2025",
    "DO $$ BEGIN UPDATE tb_customer SET name = '1' WHERE pk_customer = {a};"
    " BEGIN UPDATE tb_customer SET name = '2' WHERE pk_customer = {b}; RAISE division_by_zero;"
    " EXCEPTION WHEN division_by_zero THEN"
    " UPDATE tb_product SET name = '3' WHERE pk_product = {b}; END; END $$",
)
DIRECT = (
    "UPDATE tv_customer SET data = '{{}}' WHERE pk_customer = {a}",
    "DELETE FROM tv_customer WHERE pk_customer = {a}",
    "DELETE FROM tv_stock WHERE pk_stock = {a}",
    "INSERT INTO tv_customer VALUES (-{a}, gen_random_uuid(), '{{}}') ON CONFLICT DO NOTHING",
    "INSERT INTO tv_stock VALUES ({a} + 500, '{{}}') ON CONFLICT DO NOTHING",
    "UPDATE tv_basket SET pk_basket = pk_basket + 7000 WHERE pk_basket = {a}",
    'UPDATE "Sales Dept".tv_order SET fk_customer = {b} WHERE pk_order = {a}',
    'DELETE FROM "Sales Dept".tv_order_line WHERE fk_order = {a}',
)
# The same for TVIEWs whose rows hang together with base rows in less ordinary ways.
DEEP = (
    "UPDATE tb_dept SET name = name || '.' WHERE pk_dept = {a} % 11 + 1",
    "UPDATE tb_dept SET active = NOT active WHERE pk_dept = {a} % 9 + 1",
    "DELETE FROM tb_dept WHERE pk_dept = {a} % 9 + 1",
    "INSERT INTO tb_dept VALUES ({a} % 14 + 1, 'new', true)",
    "UPDATE tb_dept SET pk_dept = {b} % 14 + 1 WHERE pk_dept = {a} % 14 + 1",
    "UPDATE tb_person SET fk_dept = {b} % 12 WHERE pk_person = {a}",
    "UPDATE tb_person SET fk_dept = NULL WHERE pk_person = {a}",
    "UPDATE tb_person SET fk_boss = {b} WHERE pk_person = {a}",
    "UPDATE tb_person SET age = {b} WHERE pk_person = {a}",
    "UPDATE tb_person SET name = name || '.' WHERE pk_person IN ({a}, {b})",
    "DELETE FROM tb_person WHERE pk_person = {a}",
    "INSERT INTO tb_person VALUES ({a}, {b} % 12, {b}, 'new', {b})",
    "UPDATE tb_badge SET label = label || '.' WHERE fk_person = {a}",
    "UPDATE tb_badge SET fk_person = {b} WHERE pk_badge = {a}",
    "DELETE FROM tb_badge WHERE pk_badge = {a}",
    "INSERT INTO tb_badge VALUES ({a} + 200, gen_random_uuid(), {b}, 'new')",
    "INSERT INTO tb_badge VALUES ({a}, gen_random_uuid(), {b}, 'low')",
    "DO $$ BEGIN UPDATE tb_person SET fk_boss = 1 WHERE pk_person = {a};"
    " BEGIN DELETE FROM tb_badge WHERE fk_person = {a}; EXCEPTION WHEN others THEN NULL; END; END $$",
)
DEEP_DIRECT = (
    "UPDATE tv_person SET fk_dept = {b} % 9 + 1 WHERE pk_person = {a}",
    "UPDATE tv_dept SET data = '{{}}' WHERE pk_dept = {a} % 9 + 1",
    "DELETE FROM tv_lonely WHERE pk_lonely = {a}",
    "INSERT INTO tv_lonely VALUES ({a}, 'x') ON CONFLICT DO NOTHING",
    "DELETE FROM tv_some WHERE pk_some IN ({a}, {a} + 1000)",
    "DELETE FROM tv_eldest WHERE pk_eldest = {a} % 12",
)
UPKEEP = ("VACUUM", "VACUUM FULL", "VACUUM FREEZE", "ANALYZE")
KEYS = st.integers(1, 100)
Step = tuple[str, str, int, int]


def steps(writes: tuple[str, ...], direct: tuple[str, ...]) -> st.SearchStrategy[Step]:
    return st.tuples(st.sampled_from(("", QUIET)), st.sampled_from(writes), KEYS, KEYS) | st.tuples(
        st.just(QUIET), st.sampled_from(direct), KEYS, KEYS
    )


def write(session: psycopg.Connection[Any], step: Step) -> None:
    mode, text, a, b = step
    with contextlib.suppress(psycopg.Error):
        session.execute(mode.encode() or b"SET session_replication_role = origin")
        session.execute(text.format(a=a, b=b).encode())


EXAMPLES = 20 if THOROUGH else 4


def explore(database: Database, step: st.SearchStrategy[Step]) -> Counter[str]:
    """Compare what it says with what every row says, after writes at random; what was seen.

    New writes each time with tools/test --all; else the same few.
    """
    seen: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=not THOROUGH, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip
    @given(
        open_before=st.lists(step.filter(lambda s: "TRUNCATE" not in s[1]), max_size=2),
        rounds=st.lists(
            st.tuples(st.lists(step, min_size=1, max_size=4), st.sampled_from((*UPKEEP, None))),
            min_size=1, max_size=2,
        ),
    )  # fmt: skip
    def run(open_before: list[Step], rounds: list[Any]) -> None:
        database.sql("SELECT tviews.pg_tviews_refresh_all()")
        with database.connect(autocommit=False) as open_, database.connect() as session:
            for one in open_before:  # not yet committed when all is found equal
                open_.execute("SAVEPOINT one")
                write(open_, one)
                if open_.info.transaction_status is psycopg.pq.TransactionStatus.INERROR:
                    open_.execute("ROLLBACK TO one")
            begun = whole(database)
            baselines = kept(begun)
            assert len(baselines) == len(begun)
            with contextlib.suppress(psycopg.Error):
                open_.commit()
            for writes, upkeep in rounds:
                for one in writes:
                    write(session, one)
                if upkeep:
                    session.execute(upkeep.encode())
                said, true = since(database, baselines), whole(database)
                assert {n: verdict(r) for n, r in said.items()} == {
                    n: verdict(r) for n, r in true.items()
                }
                for result in said.values():
                    seen[f"{result.mode} {result.state}"] += 1
                baselines |= kept(said)

    run()
    return seen


def test_it_says_what_a_comparison_of_every_row_says(shop: Database) -> None:
    seen = explore(shop, steps(WRITES, DIRECT))
    assert seen["since equal"] > 2 * EXAMPLES and seen["since differs"] > EXAMPLES / 4, seen
    assert seen["exact differs"], seen


def test_also_where_rows_hang_together_in_odd_ways(empty: Database) -> None:
    extension = "pg_" + "tviews"
    empty.sql(f"SET client_min_messages = error; CREATE EXTENSION {extension}; {ODD}")
    seen = explore(empty, steps(DEEP, DEEP_DIRECT))
    assert seen["since equal"] > 2 * EXAMPLES and seen["since differs"] > EXAMPLES / 10, seen


PROPORTIONATE = {
    "updated": "UPDATE tb_customer SET name = 'x' WHERE pk_customer = 3",
    "inserted": "INSERT INTO tb_customer (name, email) VALUES ('x', 'x')",
    "deleted": f"DELETE FROM {LINE} WHERE pk_order_line = 3",
    "mapped": "UPDATE tb_category SET name = 'x' WHERE pk_category = 3",
    "another partition": "UPDATE tb_stock_move SET moved_on = '2026-12-01' WHERE pk_stock_move = 3",
}


@pytest.mark.parametrize("text", PROPORTIONATE.values(), ids=PROPORTIONATE)
def test_ordinary_writes_are_told_by_what_changed(shop: Database, text: str) -> None:
    baselines = kept(whole(shop))
    shop.sql(f"{text}; VACUUM FREEZE")
    found = since(shop, baselines)
    assert {(r.mode, r.state) for r in found.values()} == {("since", State.EQUAL)}, {
        n: why(r) for n, r in found.items() if why(r)
    }
    compared = any(r.since and r.since.keys for r in found.values())
    assert compared is not text.startswith("DELETE"), "the same key went from both"


def test_one_goes_and_another_takes_its_count(shop: Database) -> None:
    """As many rows as before, and as many versions went as came: sums tell, counts would not."""
    shop.sql("DELETE FROM tb_stock_move WHERE pk_stock_move = 8")
    baselines = kept(whole(shop))
    shop.sql(f"""{QUIET} DELETE FROM tb_stock_move WHERE pk_stock_move = 3;
        INSERT INTO tb_stock_move (pk_stock_move, fk_product, moved_on, amount)
        OVERRIDING SYSTEM VALUE VALUES (8, 9, '2025-07-07', 1);
        DELETE FROM tv_customer WHERE pk_customer = 5;
        INSERT INTO tv_customer VALUES (-5, gen_random_uuid(), '{{}}');""")
    found = since(shop, baselines)
    assert found["public.tv_stock"].changed == 2
    assert "rows went from public.tb_stock_move" in (why(found["public.tv_stock"]) or "")
    assert (found["public.tv_customer"].missing, found["public.tv_customer"].extra) == (1, 1)


OLD_ONES = {
    "local": (
        "UPDATE tb_stock_move SET fk_product = 9 WHERE pk_stock_move = 3",
        "public.tv_stock", {"4", "9"},
    ),
    "mapped": (
        'UPDATE "Sales Dept".tv_order SET fk_customer = 9 WHERE pk_order = 3',
        "public.tv_segment", {"4", "9"},
    ),
    "looked up": (
        "INSERT INTO tb_customer (pk_customer, name, email) OVERRIDING SYSTEM VALUE"
        " VALUES (987, 'late', 'x'); INSERT INTO tv_customer VALUES (987, gen_random_uuid(), '{}')",
        '"Sales Dept".tv_order', {"9876"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "tview", "keys"), OLD_ONES.values(), ids=OLD_ONES)
def test_keys_that_the_new_row_does_not_name(
    shop: Database, text: str, tview: str, keys: set[str]
) -> None:
    """Parents that a row had before; and rows that a parent gets which came after them."""
    shop.sql(f"""{QUIET} INSERT INTO {ORDER} (pk_order, fk_customer) OVERRIDING SYSTEM VALUE
        VALUES (9876, 987);""")
    baselines = kept(whole(shop))
    shop.sql(f"{QUIET} {text}")
    said, true = since(shop, baselines), whole(shop)
    assert {k for d in said[tview].differences for k in d.key} == keys
    assert {n: verdict(r) for n, r in said.items()} == {n: verdict(r) for n, r in true.items()}


NO_KEY = {
    "its other side went": f"{QUIET} DELETE FROM tb_seat WHERE pk_seat = 3;"
    " DELETE FROM tv_seat WHERE pk_seat = 3",
    "none on the other side": f"{QUIET} INSERT INTO tb_guest VALUES (11, NULL)",
}


@pytest.mark.parametrize("text", NO_KEY.values(), ids=NO_KEY)
def test_a_row_that_has_no_key(shop: Database, text: str) -> None:
    shop.sql("""CREATE TABLE tb_seat (pk_seat bigint PRIMARY KEY);
        CREATE TABLE tb_guest (pk_guest bigint PRIMARY KEY, fk_seat bigint UNIQUE);
        INSERT INTO tb_seat SELECT generate_series(1, 9);
        INSERT INTO tb_guest SELECT g, g FROM generate_series(1, 9) g;
        SELECT tviews.pg_tviews_create('public.tv_seat', 'SELECT s.pk_seat, g.pk_guest AS guest
            FROM public.tb_seat s RIGHT JOIN public.tb_guest g ON g.fk_seat = s.pk_seat')""")
    baselines = kept(whole(shop))
    shop.sql(text)
    said, true = since(shop, baselines), whole(shop)
    assert true["public.tv_seat"].missing == 1
    assert verdict(said["public.tv_seat"]) == verdict(true["public.tv_seat"])


def test_a_chain_goes_on_and_drift_does_not_break_it(shop: Database) -> None:
    shop.pgtv("init", "--apply")
    first = report(shop, "tv_customer", exit=0)["public.tv_customer"]
    assert first["mode"] == "exact" and "no verification" in first["since"]["whole"]
    compared = first["verified_at"]
    shop.sql("UPDATE tb_customer SET name = 'x' WHERE pk_customer = 3")
    second = report(shop, "tv_customer", exit=0)["public.tv_customer"]
    assert (second["mode"], second["since"]["keys"]) == ("since", 1)
    assert second["since"]["compared_at"] == second["since"]["at"] == compared
    shop.sql(f"{QUIET} UPDATE tb_customer SET name = 'y' WHERE pk_customer = 4")
    for _ in range(2):  # what differed is no place to begin at: it is found again
        third = report(shop, "tv_customer", exit=2)["public.tv_customer"]
        assert (third["differences"][0]["key"], third["since"]["keys"]) == (["4"], 1)
        assert third["since"]["at"] == second["verified_at"]
        assert third["since"]["compared_at"] == compared
    shop.sql("SELECT tviews.pg_tviews_refresh('public.tv_customer')")
    assert report(shop, "tv_customer", exit=0)["public.tv_customer"]["state"] == "equal"


def test_reports_say_what_it_cannot_see_and_why_every_row_was_compared(shop: Database) -> None:
    from pgtv.rows.since import BLIND as LISTED

    shop.pgtv("init", "--apply")
    shop.pgtv("verify")
    shop.sql("DELETE FROM tb_stock_move WHERE pk_stock_move = 3")
    for form in ("human", "html"):
        found = shop.pgtv("verify", "--since", "last", "--format", form, "--no-record")
        text = html.unescape(" ".join(found.stdout.split()))
        assert found.returncode == 0 and all(what in text for what in LISTED), text
        assert "very row was compared: rows went from public.tb_stock_move" in text
    only = report(shop, "tv_stock", "--no-record", exit=0)["public.tv_stock"]["since"]
    assert "rows went" in only["whole"] and only["cannot_see"] == []


def test_what_was_there_above_an_open_transaction_is_not_looked_at_again(shop: Database) -> None:
    with shop.connect(autocommit=False) as open_:
        open_.execute("UPDATE tb_customer SET name = 'late' WHERE pk_customer = 3")
        shop.sql("UPDATE tb_customer SET name = 'early' WHERE pk_customer IN (4, 5)")
        baselines = kept(whole(shop))
        assert since(shop, baselines)["public.tv_customer"].since.keys == 0  # type: ignore[union-attr]
        open_.commit()
    found = since(shop, baselines)["public.tv_customer"]
    assert (found.mode, found.since and found.since.keys) == ("since", 1)


def test_numbers_of_transactions_that_went_around(shop: Database) -> None:
    """A baseline farther back than two billion transactions is none, and old rows are no new ones."""
    results = whole(shop)
    customer = results["public.tv_customer"]
    assert customer.baseline
    ancient = replace(customer.baseline, horizon=customer.baseline.horizon - 2**31)
    found = since(shop, {customer.table_oid: ancient})["public.tv_customer"]
    assert "two billion" in (why(found) or "") and found.state is State.EQUAL and found.baseline


def test_a_table_that_its_owner_may_no_longer_read_is_said_to_be_so(shop: Database) -> None:
    baselines = kept(whole(shop))
    shop.sql("REVOKE SELECT ON tv_stock FROM shop_owner")
    found = since(shop, baselines)["public.tv_stock"]
    assert found.state is State.UNKNOWN and "42501" in (found.reason or "")


def test_a_large_table_that_changed_much_is_not_listed(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one page in a hundred: here the tables are called large from the first row on."""
    from pgtv.rows import scan
    from pgtv.rows import since as module

    original = scan.sampled
    monkeypatch.setattr(scan, "MOST_YOUNG", 0)
    monkeypatch.setattr(scan, "sampled", lambda *a: scan_all(*a))
    monkeypatch.setattr(module, "FEW_KEYS", 20)

    def scan_all(reading: Any, horizon: Any) -> str:
        return (
            original(reading, horizon).replace("(100 *", "(").replace("SYSTEM (1)", "SYSTEM (100)")
        )

    shop.sql("ANALYZE")
    baselines = kept(whole(shop))
    assert len(baselines) == 9
    shop.sql("UPDATE tb_customer SET name = 'x' WHERE pk_customer < 10")
    assert since(shop, baselines)["public.tv_customer"].mode == "since"
    shop.sql("UPDATE tb_customer SET name = 'x'")
    found = since(shop, baselines)["public.tv_customer"]
    assert (found.mode, found.state) == ("exact", State.EQUAL) and found.baseline
    assert "so much of public.tb_customer changed" in (why(found) or "")


CHANGED_BENEATH = {
    "helper view": "CREATE OR REPLACE VIEW v_open_order AS SELECT o.pk_order, o.fk_customer,"
    f" o.placed_at FROM {ORDER} o WHERE o.status = 'paid'",
    "policy": f"ALTER TABLE {ORDER} ENABLE ROW LEVEL SECURITY",
    "partition": "CREATE TABLE more (LIKE tb_stock_move); INSERT INTO more VALUES"
    " (9999, gen_random_uuid(), 3, '2027-02-02', 5)",
    "column": "ALTER TABLE tb_customer ADD COLUMN more int",
    "an enum's word": "ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'",
    "a function": "CREATE OR REPLACE FUNCTION word(t text) RETURNS text LANGUAGE sql IMMUTABLE"
    " AS 'SELECT upper(t)'",
}


@pytest.mark.parametrize("text", CHANGED_BENEATH.values(), ids=CHANGED_BENEATH)
def test_what_changed_beneath_is_seen(shop: Database, text: str) -> None:
    if "INSERT INTO more" in text:
        shop.sql(text)
        text = (
            f"{QUIET} ALTER TABLE tb_stock_move ATTACH PARTITION more"
            " FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')"
        )
    shop.sql("""CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TABLE tb_mood (pk_mood int PRIMARY KEY,
            m mood, t text); INSERT INTO tb_mood SELECT g, 'bad', 'T' FROM generate_series(1, 3) g;
        CREATE FUNCTION word(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)';
        SELECT tviews.pg_tviews_create('public.tv_mood', 'SELECT x.pk_mood, public.word(x.t) AS t,
            jsonb_build_object(''m'', x.m) AS data FROM public.tb_mood x')""")
    baselines = kept(whole(shop))
    assert len(baselines) == 10
    shop.sql(text)
    said, true = since(shop, baselines), whole(shop)
    assert {n: verdict(r) for n, r in said.items()} == {n: verdict(r) for n, r in true.items()}
    reasons = {why(r) for r in said.values()} - {None}
    assert any("changed since" in r or "row-level security" in r for r in reasons), reasons  # type: ignore[operator]


ODD = (ROOT / "test/integration/rows/since.sql").read_text()
SHAPES = (ROOT / "test/integration/rows/shapes.sql").read_text()


def test_shapes_that_no_row_version_tells_of_are_compared_whole(empty: Database) -> None:
    extension = "pg_" + "tviews"
    empty.sql(f"SET client_min_messages = error; CREATE EXTENSION {extension}; {SHAPES}")
    baselines = kept(whole(empty))
    empty.sql("UPDATE tb_a SET t = t || 'x' WHERE pk_a = 3")
    empty.sql("""REFRESH MATERIALIZED VIEW mv; UPDATE "We ird"."tb_Ünï ""q"".x %s 😀"
        SET "the data" = 'y' WHERE "PK" = 2""")
    said, true = since(empty, baselines), whole(empty)
    assert {n: verdict(r) for n, r in said.items()} == {n: verdict(r) for n, r in true.items()}
    assert said['"We ird"."tv_Größe"'].mode == "since"
    assert said["public.tv_union"].mode == "since" and said["public.tv_types"].mode == "since"
    assert "time-dependent" in (why(said["public.tv_clock"]) or "")
    assert "policy warn" in (why(said["public.tv_warned"]) or "")


# What it cannot see: (prepare, then what happens). Every row shows it, what changed does not.
BLIND = {
    "mapping": (
        "UPDATE tviews.pg_tview_meta SET plan = replace(plan::text, 'WHERE (d.',"
        " 'WHERE false AND (d.')::jsonb WHERE entity = 'search'",
        "UPDATE tb_category SET name = 'x' WHERE pk_category = 3",
    ),
    "function": (
        "CREATE FUNCTION inner_word(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE"
        " AS 'BEGIN RETURN lower(t); END';"
        "CREATE FUNCTION word(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE"
        " AS 'BEGIN RETURN public.inner_word(t); END';"
        "SELECT tviews.pg_tviews_create('public.tv_word', 'SELECT c.pk_customer AS pk_word,"
        " public.word(c.name) AS word FROM public.tb_customer c')",
        "CREATE OR REPLACE FUNCTION inner_word(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE"
        " AS 'BEGIN RETURN upper(t); END'",
    ),
    "order": (
        "SELECT tviews.pg_tviews_create('public.tv_heap', 'SELECT g.pk_category AS pk_heap,"
        " (SELECT string_agg(p.name, '','') FROM public.tb_product p"
        "  WHERE p.fk_category = g.pk_category) AS names FROM public.tb_category g');"
        "CREATE INDEX backwards ON tb_product (pk_product DESC)",
        "CLUSTER tb_product USING backwards",
    ),
    "surgery": (
        "CREATE EXTENSION pg_surgery",
        f"{QUIET} UPDATE tb_customer SET name = 'x' WHERE pk_customer = 3;"
        " SELECT heap_force_freeze('tb_customer', ARRAY(SELECT ctid FROM tb_customer"
        "  WHERE pk_customer = 3))",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "then"), BLIND.values(), ids=BLIND)
def test_what_it_cannot_see(shop: Database, before: str, then: str) -> None:
    from pgtv.rows.since import BLIND as LISTED

    assert len(LISTED) == len(BLIND)
    shop.sql(f"SET client_min_messages = error; {before}")
    baselines = kept(whole(shop))
    shop.sql(then)
    said, true = since(shop, baselines), whole(shop)
    unseen = [n for n, r in true.items() if r.differing and not said[n].differing]
    assert unseen and all(said[n].mode == "since" for n in unseen), {
        n: (r.mode, why(r)) for n, r in said.items()
    }


def test_without_anything_kept_it_refuses(shop: Database) -> None:
    done = shop.pgtv("verify", "--since", "last")
    assert done.returncode == 3 and "no schema pgtv" in done.stderr, done.stderr
    shop.pgtv("init", "--apply")
    shop.sql("""ALTER TABLE pgtv.verification DROP COLUMN baseline;
        UPDATE pgtv.installation SET version = 2""")
    done = shop.pgtv("verify", "--since", "last")
    assert done.returncode == 3 and "older pgtv" in done.stderr, done.stderr
    assert shop.pgtv("verify", "tv_stock").returncode == 0, "and is recorded as ever"
    assert shop.sql("SELECT count(*) FROM pgtv.verification").strip() == "1"
    assert shop.pgtv("init", "--apply").returncode == 0
    assert report(shop, "tv_stock", exit=0)["public.tv_stock"]["mode"] == "exact"
    for other in (["--fast"], ["--sample", "5%"], ["--key", "3"], ["--resume", "f"]):
        assert shop.pgtv("verify", "tv_stock", "--since", "last", *other).returncode == 3
    shop.sql("UPDATE pgtv.verification SET system_identifier = '1'")
    copy = report(shop, "tv_stock", exit=0)["public.tv_stock"]
    assert "no verification" in copy["since"]["whole"], "another server's records do not count"


@pytest.fixture
def looking(shop: Database) -> Iterator[str]:
    """A login that may look, and nothing else."""
    with shop.connect() as session:
        session.execute("CREATE ROLE since_looker LOGIN IN ROLE pg_monitor, pg_read_all_data")
    try:
        yield "since_looker"
    finally:
        with shop.connect() as session:
            session.execute("DROP OWNED BY since_looker; DROP ROLE since_looker")


def test_who_may_only_look_gets_the_same_answer(shop: Database, looking: str) -> None:
    shop.pgtv("init", "--apply")
    assert shop.pgtv("verify").returncode == 0
    shop.sql(f"{QUIET} UPDATE tb_category SET name = 'x' WHERE pk_category = 3")
    found = report(shop, exit=2, user=looking)
    assert {t["mode"] for t in found.values()} == {"since"}
    assert found["public.tv_search"]["changed"] == 10
    assert report(shop, exit=2, user=looking).keys() == found.keys()
