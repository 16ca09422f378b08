"""pgtv and the library agree on which plans can be read."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from plan_examples import BAD, READABLE
from servers import Database

from pgtv.catalog.plans import problem


def test_pgtv_reads_what_the_library_reads(shop: Database) -> None:
    disagree = []
    for name, plan in (BAD | READABLE).items():
        with shop.connect() as connection:
            connection.execute(
                "UPDATE tviews.pg_tview_meta SET plan = %s WHERE entity = 'search'",
                [json.dumps(plan)],
            )
        if _writes_work(shop) is not (problem(plan) is None):
            disagree.append((name, problem(plan)))
    assert not disagree


def test_one_unreadable_plan_fails_writes_to_tables_it_has_nothing_to_do_with(
    shop: Database,
) -> None:
    shop.sql("UPDATE tviews.pg_tview_meta SET plan = '{}' WHERE entity = 'category'")
    with shop.connect() as connection, pytest.raises(psycopg.errors.InternalError_):
        connection.execute("UPDATE public.tb_stock_move SET amount = amount + 1")


def _writes_work(shop: Database) -> bool:
    """In a session of its own: each caches what it read."""
    write: Any = "UPDATE public.tb_stock_move SET amount = amount + 1 WHERE pk_stock_move = 1"
    try:
        with shop.connect() as connection:
            connection.execute(write)
    except psycopg.errors.InternalError_:
        return False
    return True
