"""TVIEWs whose definitions give other rows as time goes by, on the real extension."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from servers import Database

# as their owner, who is no superuser
TVIEWS = """
SET ROLE shop_owner;
SELECT tviews.pg_tviews_create('public.tv_age', 'SELECT c.pk_category AS pk_age, c.name,
  now() - timestamptz ''2020-01-01 00:00+00'' AS since FROM public.tb_category c',
  '{"time_refresh": "external"}');
SELECT tviews.pg_tviews_create('public.tv_day', 'SELECT c.pk_category AS pk_day, c.name,
  now() > timestamptz ''2020-01-01 00:00+00'' AS past FROM public.tb_category c',
  '{"time_refresh": "external"}');
SELECT tviews.pg_tviews_create('public.tv_lot', 'SELECT c.pk_category AS pk_lot, random() AS lot
  FROM public.tb_category c');
RESET ROLE;
"""
WRONG = "UPDATE public.tv_age SET name = 'wrong'; DELETE FROM public.tv_age WHERE pk_age < 3;"


@pytest.fixture
def shop(shop18: Database) -> Database:
    shop18.sql(TVIEWS)
    return shop18


def wrong(shop: Database) -> str:
    return shop.sql(
        "SELECT count(*) FROM public.tb_category c LEFT JOIN public.tv_age t"
        " ON t.pk_age = c.pk_category WHERE t.name IS DISTINCT FROM c.name"
    ).strip()


def test_they_are_brought_once_and_said_to_move(shop: Database, tmp_path: Path) -> None:
    shop.sql(WRONG)
    looked = shop.pgtv("refresh", "tv_age", "tv_day")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "may differ public.tv_age" in looked.stdout
    assert "equal      public.tv_day" in looked.stdout
    receipt = tmp_path / "receipt.json"
    done = shop.pgtv("refresh", "tv_age", "tv_lot", "--apply", "--receipt", str(receipt))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "differ again: it is time-dependent" in done.stdout
    assert "differ again: it uses random(), which is volatile" in done.stdout
    entries = json.loads(receipt.read_text())["tviews"]
    assert {(e["end"], e["rounds"]) for e in entries} == {("may differ", 2)}
    assert wrong(shop) == "0"


def test_a_repair_that_brings_them_ends(shop: Database, tmp_path: Path) -> None:
    """Rows were missed: the repair brings them all, and nothing is left to do."""
    shop.sql("DROP TRIGGER trg_tview_row_age_on_public_tb_category ON public.tb_category")
    shop.sql("UPDATE public.tb_category SET name = 'missed' WHERE pk_category = 1")
    assert wrong(shop) == "1"
    args = ("repair", "tv_age", "--apply", "--receipt", str(tmp_path / "receipt.json"))
    done = shop.pgtv(*args)
    assert done.returncode == 0, done.stdout + done.stderr
    assert wrong(shop) == "0"


def test_what_moves_explains_no_row_that_is_kept_out(shop: Database) -> None:
    """Its other rows are brought, and said to move no more: the one that is missing is what counts."""
    shop.sql(WRONG)
    shop.sql(
        "CREATE FUNCTION public.out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.pk_age = 1 THEN RETURN NULL; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER out BEFORE INSERT ON public.tv_age FOR EACH ROW EXECUTE FUNCTION public.out()"
    )
    done = shop.pgtv("refresh", "tv_age", "--apply")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "unsettled  public.tv_age" in done.stdout
    assert "1 rows differ again" in done.stdout and "it is time-dependent, but" in done.stdout
    assert wrong(shop) == "1"
