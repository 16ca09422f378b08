"""The checks of contents: what was recorded, how old it is, what it found; and doctor --verify."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from pasting import OWNER, paste
from servers import Database

from pgtv.checks.examine import examine
from pgtv.checks.registry import select
from pgtv.errors import ClusterError
from pgtv.finding import Finding, Severity

WRONG = """SET session_replication_role = replica;
    UPDATE tv_customer SET data = data || '{"name": "zz"}' WHERE pk_customer IN (3, 5);"""


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
