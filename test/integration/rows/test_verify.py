"""verify end to end: upstream, keys, budgets, resuming, standbys; and exactly the rows that differ."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import running
from replicas import replayed
from servers import ROOT, TEMPLATE, Database, require_real, shop_server, until

from pgtv.graph.select import resolve
from pgtv.rows.compare import Wanted
from pgtv.rows.run import Plan, verify_all

QUIET = "SET session_replication_role = replica;"
CUSTOMER = (
    f"""{QUIET} UPDATE tv_customer SET data = data || '{{"name": "zz"}}' WHERE pk_customer = 3;"""
)
# those who wait to compare while somebody holds the TVIEW's table
COMPARES = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.application_name = 'pgtv' AND a.datname = current_database()
"""


def report(database: Database, *args: str, exit: int, user: str | None = None) -> dict[str, Any]:
    done = database.pgtv("verify", "--format", "json", *args, user=user)
    assert done.returncode == exit, done.stdout + done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, schema("verify"))
    assert isinstance(document, dict)
    return document


def schema(name: str) -> Any:
    return json.loads((ROOT / "schemas" / f"pgtv.{name}.1.json").read_text())


def test_own_and_inherited_faults(shop: Database) -> None:
    shop.sql(CUSTOMER)
    shop.sql(f"""{QUIET} UPDATE "Sales Dept".tv_order SET data = data || '{{"status": "?"}}'
        WHERE pk_order = 7;""")
    found = {t["tview"]: t for t in report(shop, exit=2)["tviews"]}
    order = found['"Sales Dept".tv_order']
    faults = {d["key"][0]: (d["fault"], d["inherited_from"]) for d in order["differences"]}
    assert faults["7"] == ("own", [])
    assert faults["2"] == ("inherited", ["public.tv_customer:3"])
    assert order["wrong_upstream"] == ["public.tv_customer"]
    segment = found["public.tv_segment"]
    assert segment["state"] == "equal" and len(segment["wrong_upstream"]) == 2


def test_a_key_walks_upstream(shop: Database) -> None:
    assert shop.pgtv("verify", "tv_order_line", "--key", "7").returncode == 0
    shop.sql(f"""{QUIET} UPDATE tv_category SET data = '{{}}' WHERE pk_category = 9;""")
    done = shop.pgtv("verify", "tv_order_line", "--key", "7", "--format", "json")
    assert done.returncode == 2
    jsonschema.validate(json.loads(done.stdout), schema("row"))
    (row,) = json.loads(done.stdout)["rows"]
    assert row["equal"] is True and row["wrong_below"] == [
        "public.tv_product:8",
        "public.tv_category:9",
    ]
    id_ = shop.sql("SELECT id FROM tv_customer WHERE pk_customer = 3").strip()
    assert shop.pgtv("verify", "tv_customer", "--key", f"id={id_}").returncode == 0


@pytest.mark.parametrize(
    "key", ["abc", "1,2", "99999999999999999999", "'; DROP TABLE tv_order; --"]
)
def test_a_key_that_no_row_can_have(shop: Database, key: str) -> None:
    done = shop.pgtv("verify", "tv_order", "--key", key)
    assert done.returncode == 3 and "no key of" in done.stderr, done.stderr
    assert shop.pgtv("verify", "tv_order").returncode == 0


def test_explain_a_row_names_what_it_comes_from(shop: Database) -> None:
    from pgtv.errors import Exit
    from pgtv.explain.row import run

    shop.sql(CUSTOMER)
    text, code = run(shop.target(), "tv_order", "2", "human")
    assert code is Exit.CRITICAL
    assert 'from "Sales Dept".tb_order: pk_order = 2' in text
    assert "reads public.tv_customer:3   CHANGED" in text
    assert "from public.tb_customer: pk_customer = 3" in text
    text, code = run(shop.target(), "tv_stock", "3", "json")
    (row,) = json.loads(text)["rows"]
    moves = next(b for b in row["base"] if b["relation"] == "public.tb_stock_move")
    expected = shop.sql("SELECT count(*) FROM tb_stock_move WHERE fk_product = 3").strip()
    assert code is Exit.HEALTHY and len(moves["rows"]) == int(expected)
    text, code = run(shop.target(), "tv_order", "987654", "human")
    assert code is Exit.UNKNOWN and "Neither the table nor the definition" in text


def test_a_budget_passes_over_all_in_turn(shop: Database) -> None:
    shop.pgtv("init", "--apply")
    none = report(shop, "--budget", "0s", "--oldest-first", exit=0)
    assert none["counts"]["skipped"] == 9
    shop.pgtv("verify", "--exclude", "tv_stock")
    first = report(shop, "--budget", "0.001s", "--oldest-first", exit=0)["tviews"][0]
    assert (first["tview"], first["state"]) == ("public.tv_stock", "equal")


def test_as_many_runs_as_tviews_reach_every_one(shop18: Database) -> None:
    shop18.pgtv("init", "--apply")
    tviews = sorted(t.label for t in shop18.snapshot().tviews)

    def one_run() -> str:
        found = report(shop18, "--budget", "0.001s", "--oldest-first", exit=0)["tviews"]
        (reached,) = [t["tview"] for t in found if t["state"] != "skipped"]
        return str(reached)

    first = [one_run() for _ in tviews]
    assert sorted(first) == tviews
    assert one_run() == first[0], "and then from the beginning"


def test_what_cannot_be_verified_keeps_no_budget_from_the_others(shop18: Database) -> None:
    """It is never recorded, and so the first in each run."""
    shop18.pgtv("init", "--apply")
    with shop18.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE public.tv_category IN ACCESS EXCLUSIVE MODE")
        reached = []
        for _ in range(3):
            found = report(
                shop18, "tv_category,tv_customer,tv_stock", "--budget", "0.001s", "--oldest-first",
                "--lock-timeout", "100ms", exit=3,
            )["tviews"]  # fmt: skip
            reached += [t["tview"] for t in found if t["state"] == "equal"]
    assert sorted(reached[:2]) == ["public.tv_customer", "public.tv_stock"]
    assert reached[2:] == reached[:1]


def test_resume_begins_where_a_run_ended(shop: Database, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    tmp_path.chmod(0o777)
    args = ("--resume", str(file), "--lock-timeout", "100ms")
    with shop.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE public.tv_stock IN ACCESS EXCLUSIVE MODE")
        report(shop, *args, exit=3)
    kept = json.loads(file.read_text())
    assert len(kept["finished"]) == 8 and all(r["lsn"] for r in kept["finished"])
    again = {t["tview"]: t["resumed"] for t in report(shop, *args, exit=0)["tviews"]}
    assert [name for name, resumed in again.items() if not resumed] == ["public.tv_stock"]
    assert not file.exists()


def test_formats(shop: Database) -> None:
    shop.sql(CUSTOMER)
    shop.sql(
        f"""{QUIET} UPDATE tv_customer SET data = '"<script>alert(1)</script>\\u001b[2J"'
        WHERE pk_customer = 9;""".replace("\\u001b", "\\u001b")
    )
    page = shop.pgtv("verify", "--format", "html")
    assert (
        page.returncode == 2 and "<script>" not in page.stdout and "&lt;script&gt;" in page.stdout
    )
    text = shop.pgtv("verify", "--limit", "1")
    assert "and 1 more row" in text.stdout and "\x1b" not in text.stdout
    assert shop.pgtv("verify", "--exit-zero").returncode == 0
    assert shop.pgtv("verify", "--sample", "0").returncode == 3
    assert shop.pgtv("verify", "--limit", "0", "-q").stdout.count("DIFFERS") == 2
    *quiet, _, _ = shop.pgtv("verify", "-q").stdout.splitlines()
    assert [line.split()[0] for line in quiet] == ["DIFFERS", "DIFFERS"], quiet


def test_without_the_privilege_it_is_unknown(shop: Database) -> None:
    shop.sql(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nobody_much') THEN"
        " CREATE ROLE nobody_much LOGIN; END IF; END $$"
    )
    found = report(shop, "tv_stock", exit=3, user="nobody_much")["tviews"][0]
    assert found["state"] == "unknown" and found["needs"]
    assert shop.pgtv("verify", "tv_stock", "--unknown-ok", user="nobody_much").returncode == 0
    shop.sql("GRANT SELECT ON public.tv_stock, tviews.public__tv_stock TO nobody_much")
    report(shop, "tv_stock", exit=0, user="nobody_much")
    shop.sql("ALTER TABLE public.tv_stock ENABLE ROW LEVEL SECURITY")
    found = report(shop, "tv_stock", exit=3, user="nobody_much")["tviews"][0]
    assert "row-level security" in found["reason"]
    report(shop, "tv_stock", exit=0)  # the owner is not subject to it


@pytest.fixture(scope="module")
def standby() -> Iterator[Database]:
    with shop_server(require_real(18)) as server, server.standby() as other:
        server.psql("CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader", TEMPLATE)
        ours = Database(server, TEMPLATE)
        assert ours.pgtv("init", "--apply").returncode == ours.pgtv("verify").returncode == 0
        server.psql(CUSTOMER, TEMPLATE)
        other.start()
        there = Database(other, TEMPLATE)
        until(lambda: replayed(ours, there))
        yield there


@pytest.mark.real
def test_on_a_standby(standby: Database) -> None:
    found = {t["tview"]: t for t in report(standby, exit=2, user="reader")["tviews"]}
    assert found["public.tv_customer"]["changed"] == 1
    assert found["public.tv_stock"]["state"] == "equal"
    assert "UNLOGGED" in found["public.tv_search"]["reason"]
    again = {
        t["tview"]: t for t in report(standby, "--since", "last", exit=2, user="reader")["tviews"]
    }
    assert (again["public.tv_customer"]["mode"], again["public.tv_customer"]["changed"]) == (
        "since",
        1,
    )
    assert (again["public.tv_stock"]["mode"], again["public.tv_stock"]["state"]) == (
        "since",
        "equal",
    )
    refused = {t["tview"]: t for t in report(standby, exit=3)["tviews"]}
    assert "superuser" in refused["public.tv_stock"]["reason"]
    assert standby.pgtv("verify", "tv_customer", "--key", "3", user="reader").returncode == 2


keys = st.integers(1, 30)
mutations = st.lists(
    st.tuples(st.sampled_from(["delete", "insert", "text", "number", "null", "swap"]), keys),
    max_size=12,
)


@pytest.fixture(scope="module")
def arena() -> Iterator[Database]:
    with shop_server(require_real(18)) as server:
        database = Database(server, TEMPLATE)
        database.sql(
            """CREATE TABLE tb_z (pk_z bigint PRIMARY KEY, t text, n numeric, f float8, j json);
            INSERT INTO tb_z SELECT g, 't' || g, g, g / 7.0, to_json(g) FROM generate_series(1, 30) g;
            SELECT tviews.pg_tviews_create('public.tv_z', $$
              SELECT z.pk_z, z.t, z.n, z.f, z.j, jsonb_build_object('n', z.n, 't', z.t) AS data
              FROM tb_z z $$);
            CREATE TABLE was AS SELECT * FROM tv_z; CREATE TABLE image AS SELECT * FROM tv_z LIMIT 0;"""
        )
        yield database


@pytest.mark.real
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(mutations, st.booleans())
def test_exactly_the_rows_that_differ(
    arena: Database, changes: list[tuple[str, int]], fast: bool
) -> None:
    """Whatever was done to the rows: what verify names is what SQL's own set difference names."""
    statements = {
        "delete": "DELETE FROM tv_z WHERE pk_z = {k}",
        "insert": "INSERT INTO tv_z (pk_z, t) VALUES ({k} + 100, 'x') ON CONFLICT DO NOTHING",
        "text": "UPDATE tv_z SET t = t || 'é', data = data || '{{\"t\": 1}}' WHERE pk_z = {k}",
        "number": "UPDATE tv_z SET n = n + 0.5, f = -f WHERE pk_z = {k}",
        "null": "UPDATE tv_z SET j = NULL, data = NULL WHERE pk_z = {k}",
        "swap": "UPDATE tv_z a SET data = b.data FROM tv_z b WHERE a.pk_z = {k} AND b.pk_z = 31 - {k}",
    }
    with arena.connect() as session:
        session.execute("SET session_replication_role = replica")
        session.execute("DELETE FROM tv_z")
        session.execute("INSERT INTO tv_z SELECT * FROM was")
        for kind, key in changes:
            session.execute(statements[kind].format(k=key).encode())
        expected = set(
            session.execute(
                """SELECT COALESCE(a.pk_z, b.pk_z)::text,
                     CASE WHEN a.pk_z IS NULL THEN 'missing' WHEN b.pk_z IS NULL THEN 'extra'
                          ELSE 'changed' END
                   FROM tv_z a FULL JOIN was b USING (pk_z)
                   WHERE a.pk_z IS NULL OR b.pk_z IS NULL OR a::text <> b::text"""
            ).fetchall()
        )
    snapshot = arena.snapshot()
    plan = Plan(snapshot, arena.target(), [resolve(snapshot, "tv_z")], Wanted(fast, limit=100))
    (result,) = verify_all(plan)
    assert {(d.key[0], d.kind) for d in result.differences} == expected
    assert result.differing == len(expected)


def test_a_sample_is_the_share_asked_and_drawn_by_its_seed(shop: Database) -> None:
    """Rows compared are near the share; each seed has rows of its own, and always the same."""
    shop.sql(f"""{QUIET} UPDATE "Sales Dept".tv_order SET data = '{{}}';""")
    snapshot = shop.snapshot()
    tview = resolve(snapshot, "tv_order")

    def drawn(sample: tuple[int, int], rows: int = 0) -> set[str | None]:
        wanted = Wanted(sample=sample, sample_rows=rows, limit=1000)
        (result,) = verify_all(Plan(snapshot, shop.target(), [tview], wanted))
        keys = {d.key[0] for d in result.differences}
        assert result.mode == "exact sample"
        assert result.rows == result.differing == len(keys), "each row that was looked at is wrong"
        return keys

    for share in (50_000, 200_000, 500_000):
        for rows in (drawn((share, 1)), drawn((0, 1), round(500 * share / 1e6))):
            expected = 500 * share / 1e6
            # five standard deviations: by chance beyond them once in millions
            assert abs(len(rows) - expected) < 5 * (expected * (1 - share / 1e6)) ** 0.5
    first, again, other = drawn((200_000, 7)), drawn((200_000, 7)), drawn((200_000, 8))
    assert first == again != other
    assert len(drawn((1_000_000, 1))) == 500


def test_a_sample_finds_a_row_when_it_holds_it(shop: Database) -> None:
    shop.sql(CUSTOMER)
    seen = {}
    for seed in range(1, 9):
        done = shop.pgtv(
            "verify", "tv_customer", "--sample", "50%", "--seed", str(seed), "--format", "json"
        )
        (found,) = json.loads(done.stdout)["tviews"]
        seen[seed] = done.returncode
        assert 60 < found["rows"] < 140
        assert [d["key"] for d in found["differences"]] == ([["3"]] if done.returncode else [])
        assert found["state"] == ("differs" if done.returncode else "equal")
        if set(seen.values()) == {0, 2}:
            break
    assert set(seen.values()) == {0, 2}, "one seed draws the row, another does not"
    found_by = next(s for s, code in seen.items() if code == 2)
    again = shop.pgtv("verify", "tv_customer", "--sample", "50%", "--seed", str(found_by))
    assert again.returncode == 2 and f"--seed {found_by}" in again.stderr


def test_what_was_found_is_told_where_it_cannot_be_recorded(shop18: Database) -> None:
    """The server takes no more sessions by the time that the comparison ends."""
    assert shop18.pgtv("init", "--apply").returncode == 0
    shop18.sql(CUSTOMER)
    shop18.sql("""DO $$ BEGIN IF to_regrole('recorder') IS NULL THEN
        CREATE ROLE recorder LOGIN IN ROLE pg_monitor, pg_read_all_data; END IF; END $$;
        GRANT INSERT ON pgtv.verification TO recorder;""")
    command = [sys.executable, "-m", "pgtv", "verify", "tv_customer", "--format", "json"]
    with shop18.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE public.tv_customer")
        environment = shop18.server.env(shop18.name, "recorder")
        with running([*command, "--lock-timeout", "60s"], env=environment) as process:
            until(lambda: shop18.sql(COMPARES).strip() == "1")
            shop18.sql(f"ALTER DATABASE {shop18.name} CONNECTION LIMIT 0")
            holder.rollback()
            out, said = process.communicate(timeout=60)
    document = json.loads(out)
    assert (process.returncode, document["tviews"][0]["differing"]) == (2, 1)
    assert not document["recorded"] and "too many connections" in document["not_recorded"]
    assert f"not recorded: {document['not_recorded']}\n" in said
