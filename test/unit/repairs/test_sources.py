"""What files give as sources of registrations: texts, options, what cannot be used."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from pgtv.catalog.model import Gap
from pgtv.errors import UsageError
from pgtv.repairs import sources
from pgtv.repairs.defined import from_sql
from pgtv.repairs.registered import Registration
from pgtv.repairs.registration import in_order, intact, restore
from pgtv.repairs.sources import disagreement, from_snapshot

sys.path.insert(0, str(Path(__file__).parent))

from world import CUSTOMER_QUERY, snapshot  # noqa: E402

OPTIONS = (
    '{"uncascaded_policy": "warn", "typename": "Guest", "indexes": [["a"]], "fillfactor": 50,'
    ' "uncascaded_tables": {"public.x": "error"},'
    ' "function_reads": {"public.f()": ["public.a", "public.b"], "public.g()": []}}'
)


def test_options_of_a_call_become_the_columns_that_keep_them() -> None:
    one = from_sql(
        "m.sql",
        f"SELECT tviews.pg_tviews_create_or_replace('shop.tv_x', 'SELECT 1 AS pk_x', '{OPTIONS}');",
    ).registrations["x"]
    assert (one.schema, one.query, one.qualified) == ("shop", "SELECT 1 AS pk_x", False)
    assert one.row == {
        "uncascaded_policy": "warn",
        "graphql_typename": "Guest",
        "declared_indexes": [["a"]],
        "uncascaded_table_oids": ["public.x"],
        "uncascaded_table_policies": ["error"],
        "function_read_functions": ["public.f()", "public.f()", "public.g()"],
        "function_read_tables": ["public.a", "public.b", None],
    }


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("CREATE TABLE tv_x AS SELECT 1 AS pk_x", "SELECT 1 AS pk_x"),
        ("CREATE TABLE tv_x AS SELECT 1 AS pk_x WITH NO DATA;", "SELECT 1 AS pk_x"),
        ("CREATE TABLE tv_x AS SELECT 1 AS pk_x WITH DATA", "SELECT 1 AS pk_x"),
        (
            "CREATE UNLOGGED TABLE IF NOT EXISTS tv_x WITH (fillfactor = 80) AS\n"
            "WITH a AS (SELECT 'ü AS' AS b) SELECT 1 AS pk_x FROM a;",
            "WITH a AS (SELECT 'ü AS' AS b) SELECT 1 AS pk_x FROM a",
        ),
        ("SELECT 'ü'; CREATE TABLE tv_x AS SELECT 2 AS pk_x; SELECT 3", "SELECT 2 AS pk_x"),
    ],
)
def test_the_query_of_create_table_as(text: str, query: str) -> None:
    assert from_sql("m.sql", text).registrations["x"].query == query


def test_the_last_definition_counts_and_a_drop_takes_it_away() -> None:
    made = "SELECT tviews.pg_tviews_create('tv_x', 'SELECT 1 AS pk_x');"
    again = made.replace("SELECT 1", "SELECT 2")
    assert from_sql("m", made + again).registrations["x"].query == "SELECT 2 AS pk_x"
    with pytest.raises(UsageError, match="defines no TVIEW"):
        from_sql("m", made + "SELECT tviews.pg_tviews_drop('tv_x');")


def test_what_is_not_written_in_the_file_is_named() -> None:
    text = "SELECT tviews.pg_tviews_create('tv_x', 'SELECT FROM WHERE');"
    source = from_sql("m.sql", text)
    assert not source.registrations
    assert "m.sql line 1" in source.unusable["x"]
    text = (
        "SELECT tviews.pg_tviews_create('tv_x', 'SELECT 1 AS pk_x', current_setting('o')::jsonb);"
    )
    assert "options" in from_sql("m.sql", text).unusable["x"]


def test_a_snapshot_gives_what_the_row_held_and_the_view_as_printed() -> None:
    one = from_snapshot(snapshot()).registrations["customer"]
    assert one.query == CUSTOMER_QUERY
    assert one.qualified
    assert one.row == {"graphql_typename": "Guest", "created_at": "2026-01-01"}
    assert one.view == "public__tv_customer"
    assert ("relation", "public.tb_customer") in one.needs
    assert from_snapshot(snapshot()).registrations["order"].reads == {"customer"}


def test_a_snapshot_that_did_not_see_them_is_refused() -> None:
    blind = dataclasses.replace(snapshot(), gaps=(Gap("tviews", "no privilege"),))
    with pytest.raises(UsageError, match="no privilege"):
        from_snapshot(blind)
    empty = dataclasses.replace(snapshot(), tviews=())
    with pytest.raises(UsageError, match="holds no TVIEW"):
        from_snapshot(empty)


def test_a_registration_that_was_broken_already_is_no_source() -> None:
    was = snapshot()
    gone = dataclasses.replace(was.tviews[0], table_oid=999)
    source = from_snapshot(dataclasses.replace(was, tviews=(gone, *was.tviews[1:])))
    assert set(source.unusable) == {gone.entity}


def test_load_tells_files_apart(tmp_path: Path) -> None:
    from pgtv.catalog import codec

    codec.save(snapshot(), tmp_path / "a.json")
    (tmp_path / "b.sql").write_text("SELECT tviews.pg_tviews_create('tv_x', 'SELECT 1 AS pk_x')")
    assert sources.load(tmp_path / "a.json").snapshot == snapshot()
    assert sources.load(tmp_path / "b.sql").snapshot is None
    (tmp_path / "c").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="neither a snapshot nor SQL"):
        sources.load(tmp_path / "c")


def one(entity: str, text: str = "SELECT 1", **more: object) -> Registration:
    return Registration(entity, "public", text, text, f"file of {entity}", **more)  # type: ignore[arg-type]


def test_blanks_are_no_disagreement_options_are() -> None:
    assert disagreement(one("a", "SELECT  1\n"), one("a", "SELECT 1")) is None
    difference = disagreement(one("a"), one("a", "SELECT 2"))
    assert difference
    assert "-SELECT 1" in difference
    difference = disagreement(one("a"), one("a", row={"uncascaded_policy": "warn"}))
    assert difference == "-uncascaded_policy: None\n+uncascaded_policy: warn"
    assert disagreement(one("a", row={"created_at": "x"}), one("a")) is None


def test_upstream_first_even_in_a_ring() -> None:
    ordered = in_order([one("a", reads=frozenset("b")), one("b", reads=frozenset("c")), one("c")])
    assert [r.entity for r in ordered] == ["c", "b", "a"]
    ring = in_order([one("a", reads=frozenset("b")), one("b", reads=frozenset("a"))])
    assert {r.entity for r in ring} == {"a", "b"}


def test_what_is_as_it_was_is_intact_and_another_major_prints_otherwise() -> None:
    now = snapshot()
    customer = from_snapshot(now).registrations["customer"]
    assert intact(now, customer)
    other = dataclasses.replace(customer, query="SELECT something_else")
    assert not intact(now, other)
    assert intact(now, dataclasses.replace(other, major=17)), "texts of two majors tell nothing"
    assert not intact(now, dataclasses.replace(customer, row={"graphql_typename": "Other"}))


def test_what_reads_something_absent_is_left_alone_with_its_readers() -> None:
    was = snapshot()
    tables = tuple(r for r in was.relations if r.kind != "v")
    now = dataclasses.replace(was, tviews=(), relations=tables)
    held = from_snapshot(was).registrations
    absent = frozenset({("relation", "public.tb_customer")})
    restored = restore(now, held.values(), absent=absent)
    assert restored.steps == ()
    assert "relation public.tb_customer" in restored.refused["customer"]
    assert "it reads tv_customer" in restored.refused["order"]


def test_each_tview_is_one_transaction_and_upstream_comes_first() -> None:
    was = snapshot()
    now = dataclasses.replace(
        was, tviews=(), relations=tuple(r for r in was.relations if r.kind != "v")
    )
    restored = restore(now, from_snapshot(was).registrations.values())
    assert restored.tables == ("public.tv_customer", "public.tv_order")
    for step in restored.steps:
        assert (step.statements[0], step.statements[-1]) == ("BEGIN;", "COMMIT;")
        assert any(s.startswith("CREATE VIEW") for s in step.statements)
    statements = "\n".join(restored.steps[0].statements)
    assert 'OWNER TO "app"' in statements
    assert 'GRANT SELECT ON "tviews"."public__tv_customer" TO PUBLIC' in statements
    assert "'Guest'" in statements
