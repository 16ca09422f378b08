"""`repair metadata` from sources: each way to lose a registration, cured to what it was."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from contents import differing, write_everywhere
from servers import Database

from pgtv.lifecycle.same import compare

EVERYTHING = (Path(__file__).parents[1] / "lifecycle" / "everything.sql").read_text(
    encoding="utf-8"
)
META = "tviews.pg_tview_meta"
CUSTOMER = """SELECT tviews.pg_tviews_create_or_replace('public.tv_customer', $$
    SELECT c.pk_customer, c.id,
           jsonb_build_object('id', c.id, 'name', c.name, 'email', c.email) AS data
    FROM public.tb_customer c $$);"""
OTHER = CUSTOMER.replace("'email', c.email", "'email', 'hidden'")
DROP_ALL = "DROP EXTENSION pg_tviews CASCADE"


def saved(shop: Database, folder: Path) -> str:
    file = folder / "before.json"
    assert shop.pgtv("snapshot", "save", str(file)).returncode == 0
    return str(file)


def repair(
    shop: Database, folder: Path, *args: str, apply: bool = True
) -> subprocess.CompletedProcess[str]:
    more = ("--apply", "--receipt", str(folder / "receipt.json")) if apply else ()
    return shop.pgtv("repair", "metadata", *args, *more)


LOSSES = {
    "a row": f"DELETE FROM {META} WHERE entity = 'offer'",
    "a row and its view": f"DROP VIEW tviews.public__tv_offer; DELETE FROM {META} WHERE entity = 'offer'",
    "a row that others read": f"DELETE FROM {META} WHERE entity IN ('customer', 'order')",
    "every row": f"TRUNCATE {META}",
    "every row and view": f"DELETE FROM {META};"
    " DROP VIEW tviews.public__tv_customer, tviews.public__tv_offer, tviews.public__tv_spent",
    "the entity": f"UPDATE {META} SET entity = 'client' WHERE entity = 'customer'",
    "the table's OID": f"UPDATE {META} SET table_oid = 999999 WHERE entity = 'offer'",
    "the table of another": f"UPDATE {META} SET table_oid = 'public.tv_category'"
    " WHERE entity = 'customer'",
    "the view's OID": f"UPDATE {META} SET view_oid = 999999 WHERE entity = 'offer'",
    "the plan": f"UPDATE {META} SET plan = '{{}}' WHERE entity = 'offer'",
    "declared reads": f"UPDATE {META} SET function_read_functions = '{{}}',"
    " function_read_tables = '{}' WHERE entity = 'offer'",
    "group keys": f"UPDATE {META} SET group_keys = '{{\"x\": \"y\"}}' WHERE entity = 'spent'",
    "the definition": f"UPDATE {META} SET definition = '' WHERE entity = 'offer'",
    "the extension": DROP_ALL,
    "the extension, created again": f"{DROP_ALL}; CREATE EXTENSION pg_tviews",
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
def test_what_was_lost_is_back_as_it_was(shop18: Database, tmp_path: Path, loss: str) -> None:
    shop18.sql(EVERYTHING)
    before = shop18.snapshot()
    file = saved(shop18, tmp_path)
    shop18.sql(LOSSES[loss])
    shop18.sql("SET session_replication_role = replica; UPDATE public.tb_customer"
               " SET name = 'missed' WHERE pk_customer = 7; UPDATE public.tb_product"
               " SET name = 'missed' WHERE pk_product = 7")  # fmt: skip
    done = repair(shop18, tmp_path, "--from", file)
    assert done.returncode == 0, done.stdout + done.stderr
    after = shop18.snapshot()
    assert compare(before, after).changes == ()
    lost = {t.entity for t in before.tviews if t.raw != after.tview_by_entity[t.entity].raw}
    assert not lost
    shop18.pgtv("refresh", "--apply")  # what was missed elsewhere is nobody's registration
    write_everywhere(shop18)
    assert differing(shop18) == {}
    assert json.loads((tmp_path / "receipt.json").read_text())["outcome"] == "complete"
    again = repair(shop18, tmp_path, "--from", file, apply=False)
    assert "0 steps" in again.stdout, again.stdout
