"""No room on the server's disk while refresh writes rows: told, nothing lost, and gone on from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from contents import differing
from servers import SHOP, Database, require_real

from pgtv.cluster import room
from pgtv.cluster.server import new_server


@pytest.fixture
def small() -> Iterator[Database]:
    """A shop on a server with a small disk, of which nothing is used yet."""
    if why := room.cannot_mount():
        pytest.skip(why)
    with new_server(require_real(18), ("pg_tviews",), small=(8, "nothing")) as server:
        server.create_database("shop")
        server.psql("CREATE EXTENSION pg_tviews", "shop")
        server.psql(SHOP.read_text(), "shop")
        yield Database(server, "shop")


@pytest.mark.slow
def test_refresh_on_a_full_disk(small: Database, tmp_path: Path) -> None:
    """The TVIEW's rows are gone, and there is no room to bring them back; others are brought."""
    shop, receipt = small, tmp_path / "receipt.json"
    shop.sql(f"CREATE TABLESPACE small LOCATION '{shop.server.room_folder('tables')}'")
    shop.sql("ALTER TABLE public.tv_category SET TABLESPACE small")
    shop.sql("BEGIN; DELETE FROM public.tv_category; DELETE FROM public.tv_customer; COMMIT")
    shop.sql("VACUUM (TRUNCATE) public.tv_category")
    products = shop.sql("SELECT * FROM public.tv_product ORDER BY 1")
    shop.server.fill_disk()
    done = shop.pgtv("refresh", "--apply", "--receipt", str(receipt))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "No space left on device (SQLSTATE 53100)" in done.stdout
    assert "hint: a disk of the server is full: make room there" in done.stderr
    ends = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert ends["public.tv_category"]["end"] == "unknown"
    assert ends["public.tv_customer"]["inserted"] == 200, "the others are brought all the same"
    # its definition reads the empty table now: what it holds is right, and must not go
    assert shop.sql("SELECT * FROM public.tv_product ORDER BY 1") == products
    assert ends["public.tv_product"]["end"] == "unknown"
    assert "it reads public.tv_category" in ends["public.tv_product"]["reason"]
    shop.server.free_disk()
    done = shop.pgtv("refresh", "--apply", "--receipt", str(receipt), "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 inserted" in done.stdout
    assert not differing(shop)
