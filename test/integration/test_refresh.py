"""refresh end to end, on the real extension."""

from __future__ import annotations

import json
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
