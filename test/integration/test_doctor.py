"""doctor end to end, on the real extension."""

from __future__ import annotations

import json

from servers import Database


def test_healthy_then_a_trigger_is_dropped_then_cured_as_printed(shop: Database) -> None:
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 0
    shop.sql("DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer")
    shop.sql("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1")
    done = shop.pgtv("doctor", "--only", "triggers", "--format", "json")
    assert done.returncode == 2, done.stderr
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["check"] == "trigger-missing"
    assert finding["object"] == "public.tb_customer"
    assert '"Sales Dept".tv_order' in finding["affects"]
    shop.sql("\n".join(finding["remedy"]["sql"]))
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 0
    assert "x" in shop.sql("SELECT data->>'name' FROM public.tv_customer WHERE pk_customer = 1")
