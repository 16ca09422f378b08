"""refresh end to end, on the real extension."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from servers import Database

DRIFT = """
BEGIN;
DELETE FROM public.tv_category WHERE pk_category = 1;
UPDATE public.tv_product SET data = '{}' WHERE pk_product <= 5;
COMMIT;
"""


def test_looking_writes_nothing_and_counts(shop: Database) -> None:
    assert shop.pgtv("refresh").returncode == 0
    shop.sql(DRIFT)
    done = shop.pgtv("refresh", "tv_category")
    assert done.returncode == 1, done.stderr
    assert "public.tv_category  1 row differs" in done.stdout
    assert "public.tv_product  " in done.stdout, "dependents come along"
    assert shop.pgtv("refresh", "tv_category").stdout.count("differ") == done.stdout.count("differ")


def test_applied_all_is_equal_and_the_receipt_has_the_keys(shop: Database, tmp_path: Path) -> None:
    shop.sql(DRIFT)
    receipt = tmp_path / "receipt.json"
    done = shop.pgtv("refresh", "--apply", "--batch", "3", "--receipt", str(receipt))
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.pgtv("verify").returncode == 0
    written = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert written["public.tv_category"]["keys"] == [["1"]]
    assert written["public.tv_category"]["inserted"] == 1
    assert written["public.tv_product"]["batches"] > 1


def test_a_receipt_that_cannot_be_written_stops_before_any_row(shop: Database) -> None:
    shop.sql(DRIFT)
    done = shop.pgtv("refresh", "--apply", "--receipt", "/nonexistent/receipt.json")
    assert done.returncode == 3
    assert done.stderr.startswith("pgtv: cannot write /nonexistent/receipt.json: No such file")
    assert shop.sql("SELECT count(*) FROM public.tv_category WHERE pk_category = 1").strip() == "0"


def test_as_the_owner_and_not_as_somebody_else(shop: Database) -> None:
    shop.sql(DRIFT)
    name = f"stranger_{shop.name}"
    shop.sql(f"CREATE ROLE {name} LOGIN; GRANT pg_read_all_data TO {name}")
    done = shop.pgtv("refresh", "--apply", user=name)
    assert done.returncode == 3
    assert "may not act as shop_owner" in done.stdout + done.stderr
    shop.sql(f"GRANT shop_owner TO {name}")
    done = shop.pgtv("refresh", "--apply", user=name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.pgtv("verify").returncode == 0
    shop.sql(f"DROP ROLE {name}")


def test_a_prepared_transaction_makes_it_unknown(shop: Database) -> None:
    shop.sql(DRIFT)
    shop.sql(
        "BEGIN; UPDATE public.tb_category SET name = 'p' WHERE pk_category = 3;"
        " PREPARE TRANSACTION 'stands in the way'"
    )
    done = shop.pgtv("refresh", "tv_category", "--apply", "--lock-timeout", "100ms")
    assert done.returncode == 3
    assert "stands in the way" in done.stdout


def test_an_unlogged_tview_that_lost_its_rows(shop: Database) -> None:
    shop.sql("BEGIN; DELETE FROM public.tv_search; COMMIT")
    done = shop.pgtv("refresh", "tv_search", "--apply")
    assert done.returncode == 0, done.stdout
    assert "100 inserted" in done.stdout


def test_rebuild_is_the_extensions_own(shop: Database) -> None:
    shop.sql(DRIFT)
    done = shop.pgtv("refresh", "tv_category", "--strategy", "rebuild")
    assert done.returncode == 1
    shop.sql(done.stdout)
    assert shop.pgtv("verify").returncode == 0


def test_a_database_that_is_read_only_by_default_is_no_standby(shop18: Database) -> None:
    shop18.sql(DRIFT)
    shop18.sql(f"ALTER DATABASE {shop18.name} SET default_transaction_read_only = on")
    done = shop18.pgtv("refresh", "tv_category", "--apply")
    assert done.returncode == 3, done.stdout
    assert "default_transaction_read_only" in done.stdout + done.stderr


def test_only_the_rows_of_a_report_are_looked_at(shop18: Database, tmp_path: Path) -> None:
    shop = shop18
    shop.sql(DRIFT)
    report, receipt = tmp_path / "report.json", tmp_path / "receipt.json"
    shop.pgtv("verify", "--format", "json", "--limit", "2", "-o", str(report))
    done = shop.pgtv("refresh", "--rows", str(report), "--apply", "--receipt", str(receipt))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "public.tv_product: the report names 2 of 15 rows that differed" in done.stderr
    written = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert set(written) == {"public.tv_category", "public.tv_product", '"Sales Dept".tv_order_line'}
    assert written["public.tv_product"]["updated"] == 2
    old = {o["key"][0]: o for o in written["public.tv_product"]["overwritten"]}
    assert {o["kind"] for o in old.values()} == {"changed"}
    assert all("{}" in o["old"] for o in old.values()), "what it was is kept"
    assert written["public.tv_category"]["overwritten"] == [
        {"kind": "missing", "key": ["1"], "old": None}
    ]
    assert shop.pgtv("verify").returncode == 2, "most rows were not named"


def test_a_report_of_another_database_is_refused(shop18: Database, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    shop18.pgtv("verify", "--format", "json", "-o", str(report))
    raw = json.loads(report.read_text())
    report.write_text(json.dumps(raw | {"database_oid": 1}))
    done = shop18.pgtv("refresh", "--rows", str(report))
    assert done.returncode == 3
    assert "is a report of another database" in done.stderr
    report.write_text("{}")
    assert "no report of schema" in shop18.pgtv("refresh", "--rows", str(report)).stderr


def test_a_run_that_was_cut_off_is_resumed(shop18: Database, tmp_path: Path) -> None:
    shop = shop18
    shop.sql(DRIFT)
    receipt = tmp_path / "receipt.json"
    args = ("refresh", "--apply", "--receipt", str(receipt))
    assert shop.pgtv(*args, "--exclude", "tv_product").returncode == 0
    first = json.loads(receipt.read_text())
    done = shop.pgtv(*args, "--resume")
    assert done.returncode == 0, done.stderr
    assert "public.tv_category" not in done.stdout, "it is finished"
    assert "5 changed" in done.stdout
    both = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert {t["tview"] for t in first["tviews"]} < set(both)
    assert both["public.tv_category"]["inserted"] == 1, "what was done then is still told"
    assert shop.pgtv("verify").returncode == 0


def test_a_control_file_holds_it_back_while_it_runs(shop18: Database, tmp_path: Path) -> None:
    """Paused before its first batch; goes on when the file says so."""
    shop = shop18
    shop.sql(DRIFT)
    control = tmp_path / "control"
    control.write_text("pause\n")
    command = [sys.executable, "-m", "pgtv", "refresh", "--apply", "--control", str(control)]
    with subprocess.Popen(
        command,
        env=shop.server.env(shop.name),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stderr
        assert run.stderr.readline() == "limits now: paused\n"
        held = "SELECT count(*) FROM public.tv_category WHERE pk_category = 1"
        assert shop.sql(held).strip() == "0"
        control.write_text("")
        assert run.wait(60) == 0
    assert shop.sql(held).strip() == "1"


def test_repair_rows_takes_a_report_too(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(DRIFT)
    report = str(tmp_path / "report.json")
    shop18.pgtv("verify", "--format", "json", "--limit", "1000", "-o", report)
    looked = shop18.pgtv("repair", "rows", "--report", report)
    assert looked.returncode == 1
    assert "nothing was written" in looked.stderr
    done = shop18.pgtv("repair", "rows", "--report", report, "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop18.pgtv("verify").returncode == 0
    refused = shop18.pgtv("repair", "triggers", "--report", report)
    assert refused.returncode == 3
    assert "--report goes with `repair rows` alone" in refused.stderr
