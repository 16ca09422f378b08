"""What listeners of the extension's change feed hear of rows that refresh writes, on the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import Database, until

# rows of a TVIEW that tv_segment maps from, and of one that others embed
DRIFT = """
BEGIN;
DELETE FROM "Sales Dept".tv_order WHERE pk_order <= 3;
UPDATE public.tv_category SET data = '{}' WHERE pk_category = 1;
COMMIT;
"""


@contextmanager
def listening(shop: Database) -> Iterator[list[Any]]:
    """What the feed says meanwhile; whole when it ends."""
    told: list[Any] = []
    with shop.connect() as listener:
        listener.add_notify_handler(lambda n: told.append(json.loads(n.payload)))
        listener.execute("LISTEN tviews_changes")
        yield told
        shop.sql("""NOTIFY tviews_changes, '"the end"'""")

        def ended() -> bool:
            listener.execute("SELECT 1")
            return "the end" in told

        until(ended)
        told.remove("the end")


def types(told: list[Any]) -> set[str]:
    """Every type that the messages name, in whichever way."""
    return {t for m in told for t in (*m.get("u", ()), *m.get("d", ()), *m.get("t", ()))}


def test_only_what_the_extension_writes_in_turn_is_heard(shop18: Database, tmp_path: Path) -> None:
    """Rows that pgtv writes are in its receipt; those that delta triggers bring are in the feed."""
    shop, receipt = shop18, tmp_path / "receipt.json"
    shop.sql(DRIFT)
    shop.sql(f"ALTER DATABASE {shop.name} SET pg_tviews.publish_changes = 'rows'")
    with listening(shop) as told:
        shop.sql("UPDATE public.tb_customer SET name = 'heard' WHERE pk_customer = 7")
    assert types(told) >= {"Customer", "Order"}, "publishing is not on"
    with listening(shop) as told:
        done = shop.pgtv("refresh", "--apply", "--receipt", str(receipt))
        assert done.returncode == 0, done.stdout + done.stderr
    written = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert written['"Sales Dept".tv_order']["keys"] == [["1"], ["2"], ["3"]]
    assert written["public.tv_category"]["keys"] == [["1"]]
    assert written["public.tv_segment"]["keys"] == [], "it was right when it was looked at"
    assert types(told) == {"Segment"}
    assert shop.pgtv("verify").returncode == 0
