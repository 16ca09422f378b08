"""The checks of contents: what was recorded, how old it is, what it found; and doctor --verify."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from pasting import OWNER, paste
from servers import Database

from pgtv.checks.examine import examine
from pgtv.checks.registry import select
from pgtv.errors import ClusterError
from pgtv.finding import Finding, Severity
from pgtv.rows.settle import settle

WRONG = """SET session_replication_role = replica;
    UPDATE tv_customer SET data = data || '{"name": "zz"}' WHERE pk_customer IN (3, 5);"""

KEPT_RECORDS = "SELECT count(*) || ' ' || count(baseline) FROM pgtv.verification"


def contents(database: Database) -> dict[str, list[Finding]]:
    examination = examine(database.snapshot(), select(("contents",)))
    found: dict[str, list[Finding]] = {}
    for finding in examination.findings:
        found.setdefault(finding.check, []).append(finding)
    return found


def test_never_verified_then_recorded(shop: Database) -> None:
    (before,) = contents(shop)["never-verified"]
    assert before.severity is Severity.INFO and "9 of 9" in before.detail
    done = shop.pgtv("verify", "-v", "tv_stock")
    assert done.returncode == 0 and "there is no schema pgtv" in done.stdout
    assert shop.pgtv("init", "--apply").returncode == 0
    assert shop.pgtv("verify", "--sample", "50%").returncode == 0
    assert "9 of 9" in contents(shop)["never-verified"][0].detail
    assert shop.pgtv("verify", "tv_stock", "tv_order").returncode == 0
    assert "7 of 9" in contents(shop)["never-verified"][0].detail
    assert shop.pgtv("verify", "--fast").returncode == 0
    assert contents(shop) == {}


def test_old_verification(shop: Database) -> None:
    shop.pgtv("init", "--apply")
    shop.pgtv("verify")
    shop.sql("""UPDATE pgtv.verification SET verified_at = verified_at - interval '25 hours'
        WHERE table_name = 'public.tv_stock'""")
    (found,) = contents(shop)["verification-old"]
    assert (found.object, found.severity) == ("public.tv_stock", Severity.WARNING)
    shop.sql("UPDATE tb_stock_move SET amount = 3 WHERE pk_stock_move = 3")
    done = shop.pgtv("verify", "--since", "last", "tv_stock")
    assert "1 compared" in done.stdout, "and that counts as a verification"
    assert contents(shop) == {}


def test_recorded_drift(shop: Database) -> None:
    shop.pgtv("init", "--apply")
    shop.sql(WRONG)
    assert shop.pgtv("verify").returncode == 2
    found = {f.object: f for f in contents(shop)["drift-recorded"]}
    assert set(found) == {"public.tv_customer", '"Sales Dept".tv_order'}
    cure = found["public.tv_customer"]
    assert cure.severity is Severity.CRITICAL
    assert paste(shop, cure) == OWNER
    assert shop.pgtv("verify").returncode == 0
    assert contents(shop) == {}


def drifted(shop: Database) -> None:
    """Two TVIEWs on record as differing, with a schema pgtv."""
    shop.pgtv("init", "--apply")
    assert shop.pgtv("verify").returncode == 0
    shop.sql(WRONG)
    assert shop.pgtv("verify").returncode == 2
    assert len(contents(shop)["drift-recorded"]) == 2


@pytest.mark.parametrize(
    "command",
    [("repair",), ("repair", "rows", "--verify"), ("refresh",), ("refresh", "--jobs", "2")],
    ids=" ".join,
)
def test_a_merge_settles_what_is_on_record(shop: Database, command: tuple[str, ...]) -> None:
    drifted(shop)
    done = shop.pgtv(*command, "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(shop) == {}
    assert shop.pgtv("doctor", "--only", "contents").returncode == 0
    again = shop.pgtv("repair", "--apply")
    assert (again.returncode, again.stdout) == (0, ""), "nothing is left to do"
    (status,) = [
        t for t in json.loads(shop.pgtv("status", "--format", "json").stdout)["tviews"]
        if t["name"] == "public.tv_customer"
    ]  # fmt: skip
    assert status["differing"] == 0 and status["verified_at"]
    assert shop.pgtv("verify").returncode == 0


def test_the_rows_of_a_report_settle_it_where_it_names_all(
    shop18: Database, tmp_path: Path
) -> None:
    shop = shop18
    report, part = str(tmp_path / "report.json"), str(tmp_path / "part.json")
    shop.pgtv("init", "--apply")
    shop.sql(WRONG)
    assert shop.pgtv("verify", "--format", "json", "--limit", "1", "-o", part).returncode == 2
    assert shop.pgtv("repair", "rows", "--report", part, "--apply").returncode == 0
    assert {f.object for f in contents(shop)["drift-recorded"]} == {
        "public.tv_customer", '"Sales Dept".tv_order',
    }, "each had rows that the report does not name"  # fmt: skip
    shop.sql(WRONG)
    assert shop.pgtv("verify", "--format", "json", "--limit", "999", "-o", report).returncode == 2
    shop.sql(WRONG.replace("(3, 5)", "(7)"))
    assert shop.pgtv("verify", "tv_customer").returncode == 2
    assert shop.pgtv("repair", "rows", "--report", report, "--apply").returncode == 0
    (left,) = contents(shop)["drift-recorded"]
    assert left.object == "public.tv_customer", (
        "it was verified after the report, and row 7 is wrong"
    )
    assert shop.pgtv("refresh", "tv_customer", "--apply").returncode == 0
    assert contents(shop) == {}


def test_a_merge_is_no_verification(shop18: Database) -> None:
    """Neither for a timer that begins with the oldest, nor for what --since last builds on."""
    shop = shop18
    drifted(shop)
    shop.sql("""UPDATE pgtv.verification SET verified_at = verified_at - interval '30 hours'
        WHERE table_name = 'public.tv_customer'""")
    done = shop.pgtv("repair", "--apply")
    assert "left alone: verification-old:public.tv_customer" in done.stderr
    assert [f.object for f in contents(shop)["verification-old"]] == ["public.tv_customer"]
    first = shop.pgtv("verify", "--oldest-first", "--budget", "1ms", "--format", "json")
    results = json.loads(first.stdout)["tviews"]
    assert [(r["tview"], r["state"]) for r in results if r["state"] != "skipped"] == [
        ("public.tv_customer", "equal")
    ]
    merges = "SELECT count(*) FROM pgtv.verification WHERE mode = 'merge'"
    assert shop.sql(merges).strip() == "2"
    assert shop.sql(f"{merges} AND (baseline IS NOT NULL OR differing <> 0)").strip() == "0"
    assert shop.pgtv("refresh", "--apply").returncode == 0
    assert shop.sql(merges).strip() == "2", "nothing to settle, nothing is written"


def test_what_compares_before_it_brings_settles_what_was_equal(shop18: Database) -> None:
    shop = shop18
    drifted(shop)
    shop.sql("SELECT tviews.pg_tviews_refresh('public.tv_customer')")
    snapshot = shop.snapshot()
    settle(shop.target(), snapshot, snapshot.tviews, print)
    assert contents(shop) == {}


def test_a_merge_that_may_not_record_says_so(shop18: Database) -> None:
    shop, name = shop18, f"recorder_{shop18.name}"
    drifted(shop)
    shop.sql(f"CREATE ROLE {name} LOGIN IN ROLE pg_monitor, pg_read_all_data, shop_owner")
    done = shop.pgtv("refresh", "--apply", user=name)
    assert done.returncode == 0, done.stdout + done.stderr
    why = "this role may not INSERT into pgtv.verification"
    assert f"public.tv_customer: that its rows were brought is not on record: {why}" in done.stderr
    assert len(contents(shop)["drift-recorded"]) == 2
    assert shop.pgtv("refresh", "--apply").returncode == 0
    assert contents(shop) == {}, "equal by now, and that is on record"
    shop.sql(f"DROP ROLE {name}")


def test_the_command_where_a_foreign_key_points_at_a_tview(shop18: Database) -> None:
    """The extension's refresh would truncate the table, which PostgreSQL refuses; a merge does not."""
    shop18.sql("CREATE TABLE note (c bigint REFERENCES public.tv_customer (pk_customer))")
    shop18.sql(WRONG)
    with pytest.raises(ClusterError, match="cannot truncate"):
        shop18.sql("SELECT tviews.pg_tviews_refresh('public.tv_customer')")
    done = shop18.pgtv("doctor", "--verify", "--only", "contents", "--format", "json")
    (cure,) = [
        f["remedy"] for f in json.loads(done.stdout)["findings"]
        if (f["check"], f["object"]) == ("drift", "public.tv_customer")
    ]  # fmt: skip
    assert shop18.pgtv(*shlex.split(cure["command"])[1:]).returncode == 0
    assert shop18.pgtv("verify").returncode == 0


def test_doctor_verify(shop: Database) -> None:
    assert shop.pgtv("doctor", "--verify", "--only", "contents").returncode == 0
    shop.sql(WRONG)
    done = shop.pgtv("doctor", "--verify", "--only", "contents", "--format", "json")
    assert done.returncode == 2, done.stderr
    found: dict[str, Any] = {
        f["object"]: f for f in json.loads(done.stdout)["findings"] if f["check"] == "drift"
    }
    assert found['"Sales Dept".tv_order']["caused_by"] == "drift:public.tv_customer"
    customer = found["public.tv_customer"]
    assert customer["caused_by"] is None and customer["severity"] == "critical"
    assert {e["at"] for e in customer["evidence"]} == {"data.name"}
    with shop.connect(autocommit=False) as session:
        session.execute("SET LOCAL search_path = public")
        for statement in customer["remedy"]["sql"]:
            session.execute(statement)
        locked = session.execute(
            "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND"
            " mode = 'AccessExclusiveLock' AND relation IN (SELECT table_oid FROM"
            " tviews.pg_tview_meta)"
        ).fetchall()
    (said,) = customer["remedy"]["locks"]
    for (name,) in locked:
        assert name in said
    assert shop.pgtv("doctor", "--verify", "--only", "contents").returncode == 0


def test_a_restored_copy_does_not_boast(shop: Database) -> None:
    shop.pgtv("init", "--apply")
    shop.pgtv("verify")
    shop.sql(
        "UPDATE pgtv.verification SET database_oid = 1; UPDATE pgtv.installation SET database_oid = 1"
    )
    assert "9 of 9" in contents(shop)["never-verified"][0].detail
    shown = shop.pgtv("init")
    assert shown.returncode == 0 and "UPDATE ONLY pgtv.installation" in shown.stdout
    assert shop.sql("SELECT database_oid FROM pgtv.installation").strip() == "1"
    assert shop.pgtv("init", "--apply").returncode == 0
    assert "is there" in shop.pgtv("init").stdout


def test_init_shows_makes_and_drops(shop: Database) -> None:
    shown = shop.pgtv("init")
    assert (
        shown.returncode == 0 and shop.sql("SELECT to_regnamespace('pgtv') IS NULL").strip() == "t"
    )
    shop.sql(shown.stdout)  # runs in psql as it is printed
    assert "version 3" in shop.pgtv("init").stdout
    assert shop.pgtv("init", "--drop").stdout.startswith("BEGIN")
    assert shop.pgtv("init", "--drop", "--apply").returncode == 0
    assert shop.sql("SELECT to_regnamespace('pgtv') IS NULL").strip() == "t"
    shop.sql("CREATE SCHEMA pgtv")
    assert shop.pgtv("init", "--apply").returncode == 3
    assert shop.pgtv("init", "--drop", "--apply").returncode == 3
    assert shop.sql("SELECT to_regnamespace('pgtv') IS NULL").strip() == "f"
    assert shop.pgtv("verify", "tv_stock").returncode == 0


def test_records_that_nobody_trims(shop18: Database, root: Path) -> None:
    """The role of a timer with INSERT alone; with what sql/roles grants it the same command trims."""
    shop18.pgtv("init", "--apply")

    def grant(*options: str) -> None:
        shop18.server.program(
            "psql", "-Xq", "-v", "role=timer", "-v", "contents=on", *options,
            "-f", str(root / "sql/roles/looking.sql"), database=shop18.name,
        )  # fmt: skip

    def verified() -> tuple[int, int]:
        done = shop18.pgtv("verify", "tv_customer", user="timer")
        assert done.returncode == 0, done.stdout + done.stderr
        count, built_on = shop18.sql(KEPT_RECORDS).split()
        return int(count), int(built_on)

    grant()
    shop18.sql("GRANT INSERT ON pgtv.verification TO timer")
    assert verified() == (1, 1)
    shop18.sql("""INSERT INTO pgtv.verification (table_name, table_oid, verified_at, mode, differing,
        duration_ms, system_identifier, database_oid, baseline)
        SELECT table_name, table_oid, verified_at, mode, differing, duration_ms, system_identifier,
               database_oid, baseline FROM pgtv.verification, generate_series(1, 199)""")
    assert "verification-untrimmed" not in contents(shop18), "a near miss"
    assert verified() == (201, 201)
    (found,) = contents(shop18)["verification-untrimmed"]
    assert found.object == "public.tv_customer" and "201" in found.detail
    shop18.sql("UPDATE pgtv.verification SET database_oid = 1 WHERE id <= 5")  # of another database
    grant("-v", "records=on")
    assert verified() == (100, 1)
    assert "verification-untrimmed" not in contents(shop18)
    assert "since" in shop18.pgtv("verify", "tv_customer", "--since", "last", user="timer").stdout
    shop18.sql("UPDATE pgtv.verification SET database_oid = 1 WHERE baseline IS NOT NULL")
    assert verified() == (100, 2), "of another database nothing is cleared"
