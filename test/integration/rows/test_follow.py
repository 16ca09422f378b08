"""Rows that follow those named in a report, on the real extension.

A TVIEW that embeds a stale row is what its definition gives: no report names it, and it is wrong once
the row that it embeds is right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from contents import differing
from servers import Database

from pgtv.graph.edges import edges
from pgtv.rows.bring import Brought, End, bring
from pgtv.rows.follow import followers
from pgtv.rows.wrong import look

ORDER = '"Sales Dept".tv_order'
CUSTOMER_MISSED = """
ALTER TABLE public.tb_customer DISABLE TRIGGER ALL;
UPDATE public.tb_customer SET email = 'missed' WHERE pk_customer IN (3, 5);
ALTER TABLE public.tb_customer ENABLE TRIGGER ALL;
"""
# what is below is what its definition gives all the same: it joins the row that is missing
CATEGORY_MISSING = """
SET session_replication_role = replica;
DELETE FROM "Sales Dept".tv_order_line l USING public.tv_product p
    WHERE p.pk_product = l.fk_product AND p.fk_category = 1;
DELETE FROM public.tv_product WHERE fk_category = 1;
DELETE FROM public.tv_category WHERE pk_category = 1;
"""
ORDERS_MISSING = """
SET session_replication_role = replica;
DELETE FROM "Sales Dept".tv_order WHERE pk_order <= 3;
UPDATE public.tv_segment s SET data = v.data FROM tviews.public__tv_segment v
    WHERE v.pk_segment = s.pk_segment;
"""
Named = Mapping[str, Sequence[str]]


def brought(shop: Database, named: Named, *, only: str | None = None) -> dict[str, Brought]:
    """What `pgtv repair rows --report` does with the rows `named`, by TVIEW."""
    snapshot = shop.snapshot()
    oids = {t.label: t.table_oid for t in snapshot.tviews}
    keys = {oids[label]: [(k,) for k in rows] for label, rows in named.items()}
    chosen = [
        t for t in followers(edges(snapshot), snapshot, keys) if only is None or t.label == only
    ]
    return {b.tview: b for b in bring(shop.target(), snapshot, chosen, apply=True, named=keys)}


@pytest.mark.both
def test_who_embeds_the_rows_of_a_report_is_brought_with_them(
    shop: Database, tmp_path: Path
) -> None:
    shop.sql(CUSTOMER_MISSED)
    report, receipt = str(tmp_path / "r.json"), tmp_path / "receipt.json"
    shop.pgtv("verify", "--format", "json", "-o", report)
    done = shop.pgtv("repair", "rows", "--report", report, "--apply", "--receipt", str(receipt))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not differing(shop)
    written = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    embedding = shop.sql(f"SELECT count(*) FROM {ORDER} WHERE fk_customer IN (3, 5)")
    assert written[ORDER]["updated"] == int(embedding) > 0


def test_rows_that_come_back_bring_theirs_on_every_level(
    shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By key all the way: no TVIEW is compared whole."""
    shop18.sql(CATEGORY_MISSING)
    assert set(differing(shop18)) == {"public.tv_category"}
    monkeypatch.delattr("pgtv.rows.bring.look")
    ended = brought(shop18, {"public.tv_category": ["1"]})
    assert {t: b.merged.inserted for t, b in ended.items()} == {
        "public.tv_category": 1, "public.tv_product": 10, '"Sales Dept".tv_order_line': 150,
    }  # fmt: skip
    assert not differing(shop18)


@pytest.mark.parametrize("told", [True, False])
def test_who_reads_it_otherwise_is_told_by_triggers_or_compared(
    shop18: Database, told: bool
) -> None:
    """tv_segment counts the rows of tv_order."""
    shop18.sql(ORDERS_MISSING)
    if not told:
        shop18.sql(f"ALTER TABLE {ORDER} DISABLE TRIGGER USER")
    ended = brought(shop18, {ORDER: ["1", "2", "3"]})
    assert ("public.tv_segment" in ended) is not told
    assert not differing(shop18)


def test_rows_that_an_earlier_run_wrote_before_it_died_are_followed_too(shop18: Database) -> None:
    shop18.sql(CUSTOMER_MISSED)
    named = {"public.tv_customer": ["3", "5"]}
    assert brought(shop18, named, only="public.tv_customer")["public.tv_customer"].merged.written
    assert set(differing(shop18)) == {ORDER}
    ended = brought(shop18, named)
    assert ended["public.tv_customer"].end is End.EQUAL
    assert ended[ORDER].merged.written
    assert not differing(shop18)


def test_what_a_receipt_says_is_finished_is_followed_too(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(CUSTOMER_MISSED)
    report = str(tmp_path / "r.json")
    shop18.pgtv("verify", "--format", "json", "-o", report)
    args = ("refresh", "--rows", report, "--apply", "--receipt", str(tmp_path / "receipt.json"))
    assert shop18.pgtv(*args, "--exclude", "tv_order").returncode == 0
    assert set(differing(shop18)) == {ORDER}
    done = shop18.pgtv(*args, "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "public.tv_customer" not in done.stdout
    assert not differing(shop18)


def test_so_many_that_comparing_all_is_quicker_are_compared(
    shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop18.sql(CATEGORY_MISSING)
    monkeypatch.setattr("pgtv.rows.since.FEW_KEYS", 1)
    monkeypatch.setattr("pgtv.rows.since.MOST_KEYS", 0.05)
    compared = []

    def counted(*args: Any) -> Any:
        compared.append(args)
        return look(*args)

    monkeypatch.setattr("pgtv.rows.bring.look", counted)
    ended = brought(shop18, {"public.tv_category": ["1"]})
    assert len(compared) == 2, (
        "a tenth of tv_product, and then who knows which of those that follow"
    )
    assert {b.end for b in ended.values()} == {End.MERGED}
    assert not differing(shop18)


def test_keys_that_no_row_below_can_hold_are_no_failure(shop18: Database) -> None:
    """An extra row whose key is greater than the column that looks it up."""
    shop18.sql(
        """
        SET ROLE shop_owner;
        CREATE TABLE public.tb_note (pk_note bigint PRIMARY KEY, fk_small smallint NOT NULL);
        CREATE TABLE public.tb_small (pk_small smallint PRIMARY KEY, name text NOT NULL);
        INSERT INTO public.tb_small VALUES (1, 'a'); INSERT INTO public.tb_note VALUES (1, 1);
        CREATE TABLE public.tv_small AS SELECT s.pk_small, jsonb_build_object('name', s.name) AS data
            FROM public.tb_small s;
        CREATE TABLE public.tv_note AS SELECT n.pk_note, n.fk_small,
            jsonb_build_object('small', v.data) AS data
            FROM public.tb_note n JOIN public.tv_small v ON v.pk_small = n.fk_small;
        INSERT INTO public.tv_small (pk_small, data) VALUES (9999999999, '{}');
        """
    )
    ended = brought(shop18, {"public.tv_small": ["9999999999"]})
    assert {t: b.end for t, b in ended.items()} == {
        "public.tv_small": End.MERGED, "public.tv_note": End.EQUAL,
    }  # fmt: skip
    assert not differing(shop18)
