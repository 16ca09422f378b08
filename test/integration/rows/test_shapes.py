"""Every shape of TVIEW is equal when healthy, and each damage is found as what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Database

SHAPES = Path(__file__).with_name("shapes.sql")
QUIET = "SET session_replication_role = replica;"  # DML that no trigger sees
EXTENSION = "pg_" + "tviews"


@pytest.fixture
def shapes(empty: Database) -> Iterator[Database]:
    empty.sql(f"SET client_min_messages = error; CREATE EXTENSION {EXTENSION};")
    empty.sql("SET client_min_messages = error;" + SHAPES.read_text())
    yield empty


def verify(database: Database, *args: str, exit: int | None = None) -> dict[str, dict[str, Any]]:
    done = database.pgtv("verify", "--format", "json", "--limit", "1000", *args)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 2, 3), done.stderr
    if exit is not None:
        assert done.returncode == exit, done.stdout + done.stderr
    return {t["tview"]: t for t in json.loads(done.stdout)["tviews"]}


def differing(tview: dict[str, Any]) -> set[tuple[str, ...]]:
    return {(d["kind"], *d["key"]) for d in tview["differences"]}


@pytest.mark.parametrize("mode", [[], ["--fast"], ["--sample", "50%"], ["--jobs", "3"]])
def test_healthy_shapes_are_equal(shapes: Database, mode: list[str]) -> None:
    found = verify(shapes, *mode, exit=0)
    assert {t["state"] for t in found.values()} == {"equal"}
    assert found["public.tv_clock"]["may_differ"] == "time-dependent"


def test_each_type_is_compared_by_image(shapes: Database) -> None:
    shapes.sql(f"""{QUIET}
        UPDATE tv_types SET n = n * 1.00 WHERE pk_types = 3;
        UPDATE tv_types SET f = '-0' WHERE pk_types = 4;
        UPDATE tv_types SET j = '{{"a": 5}}' WHERE pk_types = 5;
        UPDATE tv_types SET p = '(0,0)' WHERE pk_types = 6;
        UPDATE tv_types SET v = NULL WHERE pk_types = 7;
        UPDATE tv_types SET m = 'bad' WHERE pk_types = 8;
        UPDATE tv_types SET arr = '{{1}}' WHERE pk_types = 9;
        UPDATE tv_types SET r = 'empty' WHERE pk_types = 10;
        UPDATE tv_types SET x = B'000' WHERE pk_types = 11;
        UPDATE tv_types SET i = '24 hours' WHERE pk_types = 12;
        UPDATE tv_types SET ts = ts + interval '1 us' WHERE pk_types = 13;
        DELETE FROM tv_types WHERE pk_types = 14;
        INSERT INTO tv_types (pk_types, t) VALUES (-1, 'extra');""")
    found = verify(shapes, "tv_types", exit=2)["public.tv_types"]
    assert differing(found) == {
        *(("changed", str(k)) for k in range(3, 14)), ("missing", "14"), ("extra", "-1"),
    }  # fmt: skip
    assert (found["missing"], found["extra"], found["changed"]) == (1, 1, 11)
    where = {d["key"][0]: d["paths"] for d in found["differences"] if d["kind"] == "changed"}
    assert where["3"] == [{"path": "n", "definition": '"3.30"', "table": '"3.3000"'}]
    assert where["7"][0]["table"] == "NULL"


def test_fast_is_logical_and_exact_is_not(shapes: Database) -> None:
    shapes.sql(f"{QUIET} UPDATE tv_types SET n = n * 1.00, i = '24 hours' WHERE pk_types = 3;")
    assert verify(shapes, "tv_types", "--fast", exit=0)["public.tv_types"]["mode"] == "fast"
    verify(shapes, "tv_types", exit=2)
    shapes.sql(f"""{QUIET} UPDATE tv_types a SET data = b.data FROM tv_types b
        WHERE (a.pk_types, b.pk_types) IN ((5, 6), (6, 5));""")
    found = verify(shapes, "tv_types", "--fast", exit=2)["public.tv_types"]
    assert {("changed", "5"), ("changed", "6")} <= differing(found)


def test_a_key_of_an_enum_and_no_unique_index(shapes: Database) -> None:
    shapes.sql(f"{QUIET} DELETE FROM tv_newest WHERE m = 'ok';")
    assert differing(verify(shapes, "tv_newest")["public.tv_newest"]) == {("missing", "ok")}
    shapes.sql(f"""{QUIET} ALTER TABLE tv_union DROP CONSTRAINT tv_union_pkey;
        ALTER TABLE tv_union ALTER pk_union DROP NOT NULL;
        INSERT INTO tv_union SELECT * FROM tv_union WHERE pk_union IN (5, 1006);
        INSERT INTO tv_union VALUES (NULL, '{{}}'), (NULL, '{{}}');""")
    found = verify(shapes, "tv_union", exit=2)["public.tv_union"]
    assert found["extra"] == 4 and found["missing"] == found["changed"] == 0
    assert differing(found) == {("extra", "5"), ("extra", "1006"), ("extra", None)}


def test_a_definition_that_gives_a_key_twice(shapes: Database) -> None:
    shapes.sql(
        f"""{QUIET} INSERT INTO "We ird"."tb_Ünï ""q"".x %s 😀" VALUES (-999, 'same key as 1');"""
    )
    found = verify(shapes, "tv_union", exit=2)["public.tv_union"]
    assert found["differing"] == 1 and {d["key"][0] for d in found["differences"]} == {"1"}


def test_hostile_names(shapes: Database) -> None:
    shapes.sql(f"""{QUIET} UPDATE "We ird"."tv_Größe" SET "da'ta ""%s"" {{x}} $1" = 'y',
        data = data || '{{"a b": "new"}}' WHERE "pk_Größe" = 2;""")
    found = verify(shapes, '"We ird"."tv_Größe"', exit=2)['"We ird"."tv_Größe"']
    (row,) = found["differences"]
    assert [p["path"] for p in row["paths"]] == ['["da\'ta \\"%s\\" {x} $1"]', 'data["a b"]']


def test_tables_and_views_that_do_not_match(shapes: Database) -> None:
    shapes.sql("ALTER TABLE tv_bare ADD COLUMN created_at timestamptz DEFAULT now();")
    assert verify(shapes, "tv_bare", exit=0)["public.tv_bare"]["ignored_columns"] == ["created_at"]
    shapes.sql("DROP VIEW tviews.public__tv_newest;")
    assert "backing view" in verify(shapes, "tv_newest", exit=3)["public.tv_newest"]["reason"]
    shapes.sql("""CREATE OR REPLACE VIEW tviews.public__tv_bare AS
        SELECT a.pk_a AS pk_bare, a.t AS more FROM tb_a a;""")
    found = verify(shapes, "tv_bare", exit=2)["public.tv_bare"]
    assert found["faults"] == ['"public"."tv_bare" has no column "more"']


def test_a_table_that_goes_after_it_was_chosen(shapes: Database) -> None:
    shapes.sql("UPDATE tviews.pg_tview_meta SET table_oid = 4294967294 WHERE entity = 'bare';")
    found = verify(shapes, exit=3)
    assert [t["reason"] for t in found.values() if t["entity"] == "bare"] == [
        "its table does not exist"
    ]


def test_what_may_rightly_differ_stands_apart(shapes: Database) -> None:
    shapes.sql(f"""UPDATE tb_a SET t = 'zzz' WHERE pk_a = 40; REFRESH MATERIALIZED VIEW mv;
        {QUIET} UPDATE tv_clock SET data = '{{"day": "2020-01-01"}}' WHERE pk_clock = 1;""")
    found = verify(shapes, "tv_clock", "tv_warned", exit=0)
    assert {t["state"] for t in found.values()} == {"may differ"}
    assert [t["differing"] for t in found.values()] == [1, 1]


def test_a_definition_that_fails_is_unknown(shapes: Database) -> None:
    shapes.sql("""CREATE OR REPLACE VIEW tviews.public__tv_bare AS
        SELECT a.pk_a / (a.pk_a - 7) AS pk_bare FROM tb_a a;""")
    assert "22012" in verify(shapes, "tv_bare", exit=3)["public.tv_bare"]["reason"]


def test_a_locked_table_is_unknown_and_not_waited_for(shapes: Database) -> None:
    with shapes.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE tv_bare IN ACCESS EXCLUSIVE MODE")
        found = verify(shapes, "tv_bare", "tv_union", "--lock-timeout", "100ms", exit=3)
    assert "55P03" in found["public.tv_bare"]["reason"]
    assert found["public.tv_union"]["state"] == "equal"


def test_ranges_cover_every_key(shapes: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from pgtv.checks.contents import findings
    from pgtv.rows import compare

    monkeypatch.setattr(compare, "CHUNK_ROWS", 5)
    monkeypatch.setattr(compare, "CHUNK_OVERHEAD", 1e9)
    shapes.sql(f"""ANALYZE; {QUIET}
        DELETE FROM tv_union WHERE pk_union IN (1, 20, 40, 1001, 1020);
        INSERT INTO tv_union VALUES (-5000000000, '{{}}'), (5000000000, '{{}}');""")
    (found,) = [f for f in findings(shapes.target(), shapes.snapshot()) if "union" in f.object]
    assert "7 rows: 5 missing, 2 extra" in found.detail
