"""The way out after a bad upgrade: triggers can be disabled where the library does not match."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from contents import differing
from servers import Database
from trees import NEW, OLD, copied, put

from pgtv.cluster.server import Server

WRITES = """
UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1;
INSERT INTO "Sales Dept".tb_order (fk_customer) VALUES (1);
DELETE FROM "Sales Dept".tb_order_line WHERE pk_order_line < 5;
COPY public.tb_category (name) FROM stdin;
copied
\\.
INSERT INTO public.tb_stock_move (fk_product, moved_on, amount) VALUES (1, '2026-04-01', 1);
"""


def run(shop: Database, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    found = shop.pgtv("triggers", *args)
    assert found.returncode == code, found.stdout + found.stderr
    return found


@contextmanager
def broken(release: str) -> Iterator[tuple[Path, Server, Database]]:
    """A stopped server on a tree that the test exchanges parts of."""
    with copied(release) as (tree, server, shop):
        assert shop.pgtv("init", "--apply").returncode == 0
        server.stop()
        yield tree, server, shop


def assert_writes_fail(shop: Database, sqlstate: str) -> None:
    with shop.connect() as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 2")
    assert refused.value.sqlstate == sqlstate


def out(shop: Database) -> None:
    """Disable everything; writes succeed, and enabling is refused while they would fail again."""
    run(shop, "disable", "--for", "1h", "--reason", "bad upgrade", "--apply")
    shop.sql(WRITES)
    refused = run(shop, "enable", "--apply", code=3)
    assert "writes would fail as soon as the triggers fire" in refused.stderr


def back(shop: Database) -> None:
    run(shop, "enable", "--apply")
    assert differing(shop) == {}
    assert run(shop, "status").stdout.rstrip().endswith("none missing: 47 fire")
    shop.sql("UPDATE public.tb_customer SET name = 'arrives' WHERE pk_customer = 1")
    assert differing(shop) == {}


def test_new_library_before_the_update_of_the_extension() -> None:
    with broken(OLD) as (tree, server, shop):
        put(tree, NEW, library=True, sql=True)
        server.start()
        assert_writes_fail(shop, "55000")
        out(shop)
        shop.sql("ALTER EXTENSION pg_tviews UPDATE")
        back(shop)


def test_old_library_then_none() -> None:
    with broken(NEW) as (tree, server, shop):
        put(tree, OLD, library=True, sql=False)
        server.start()
        assert_writes_fail(shop, "55000")
        # one TVIEW alone: triggers of others on its table still fail
        one = ("disable", "tv_customer", "--for", "1h", "--reason", "x")
        shown = " ".join(run(shop, *one).stdout.replace("\n-- ", " ").split())
        assert "Writes to public.tb_customer fail all the same" in shown
        run(shop, *one, "--apply")
        assert_writes_fail(shop, "55000")
        out(shop)
        server.stop()
        put(tree, NEW, library=True, sql=False)
        server.start()
        back(shop)

        server.stop()
        server.configure({"shared_preload_libraries": ""})
        (tree / "lib/pg_tviews.so").rename(tree / "lib/away.so")
        server.start()
        assert_writes_fail(shop, "58P01")
        out(shop)
        server.stop()
        (tree / "lib/away.so").rename(tree / "lib/pg_tviews.so")
        server.configure({"shared_preload_libraries": "pg_tviews"})
        server.start()
        back(shop)
