"""What the role of sql/roles/acting.sql may do, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
from contents import differing
from servers import Database

ROLE = 'Act "or'  # an ordinary name that has to be quoted


@pytest.fixture
def role(shop: Database, root: Path) -> str:
    shop.pgtv("init", "--apply")
    shop.program(
        "psql", "-X", "-q", "-v", f"role={ROLE}", "-f", str(root / "sql/roles/acting.sql"),
        env=shop.server.env(shop.name),
    )  # fmt: skip
    return ROLE


def test_it_repairs_refreshes_and_leases(shop: Database, role: str, tmp_path: Path) -> None:
    shop.sql(
        "DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;"
        "UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1;"
    )
    shop.sql("BEGIN; DELETE FROM public.tv_category; COMMIT")
    receipt = str(tmp_path / "receipt.json")
    for command in (
        ("repair", "--apply", "--receipt", receipt),
        ("refresh", "--apply"),
        ("triggers", "disable", "tv_product", "--for", "5m", "--reason", "x", "--apply",
         "--receipt", str(tmp_path / "lease.json")),
        ("triggers", "enable", "--apply", "--receipt", str(tmp_path / "back.json")),
        ("verify",),
    ):  # fmt: skip
        done = shop.pgtv(*command, user=role)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert not differing(shop)


def test_it_is_no_superuser_and_gets_no_further(shop: Database, role: str) -> None:
    shop.sql("CREATE TABLE public.others (a int); CREATE ROLE other_owner; "
             "ALTER TABLE public.others OWNER TO other_owner")  # fmt: skip
    for denied in (
        "DELETE FROM tviews.pg_tview_meta",
        "SELECT * FROM public.others",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "CREATE ROLE more",
    ):
        with pytest.raises(Exception, match="permission denied"):
            shop.sql(denied, role)
    shop.sql("DROP TABLE public.others; DROP ROLE other_owner")
