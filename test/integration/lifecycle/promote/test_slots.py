"""A failover slot of a published TVIEW, on real servers: REPLICATION.md says what is seen here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from servers import Database, require_real, shop_server, until

from pgtv.cluster.server import Server, new_server

pytestmark = pytest.mark.slow
FEED = "SELECT data->>'name' FROM public.tv_customer WHERE pk_customer = 7"
RENAME = "UPDATE public.tb_customer SET name = '{}' WHERE pk_customer = 7"


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """One that synchronises slots, and that subscribers of the primary wait for."""
    primary.psql("SELECT pg_create_physical_replication_slot('standby')")
    primary.psql("ALTER SYSTEM SET synchronized_standby_slots = 'standby'")
    primary.reload()
    at = f"host={primary.root} port=5432 user=postgres dbname=postgres"
    settings = {
        "hot_standby_feedback": "on", "sync_replication_slots": "on",
        "primary_slot_name": "standby", "primary_conninfo": at,
    }  # fmt: skip
    standby = primary.standby(settings)
    try:
        yield standby.start()
    finally:
        standby.destroy()


def test_a_subscriber_of_a_tview_goes_on_after_a_promotion() -> None:
    folder = require_real(18)
    quick = {"wal_retrieve_retry_interval": "100ms"}
    with (
        shop_server(folder) as primary,
        standby_of(primary) as standby,
        new_server(folder, (), quick) as subscriber,
    ):
        shop, there = Database(primary, "shop_template"), Database(standby, "shop_template")
        shop.sql("CREATE PUBLICATION shop_rows FOR TABLE public.tv_customer")
        shop.sql("SELECT pg_create_logical_replication_slot('not_synced', 'pgoutput')")
        subscriber.psql(
            "CREATE TABLE public.tv_customer (pk_customer bigint PRIMARY KEY, id uuid, data jsonb)"
        )
        subscriber.psql(
            f"CREATE SUBSCRIPTION feed CONNECTION '{address(shop)}' PUBLICATION shop_rows"
            " WITH (failover = true)"
        )
        shop.sql(RENAME.format("before"))
        until(lambda: subscriber.psql(FEED) == "before\n")
        until(lambda: synced(primary, standby) == "feed\n", 150)
        told = subprocess.run(
            [sys.executable, "-m", "pgtv", "preflight", "promote", "-d", there.conninfo,
             "--primary", shop.conninfo],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        assert "not_synced (logical)" in told
        assert "feed" not in told

        primary.kill()
        standby.promote()
        standby.psql("ALTER SYSTEM RESET synchronized_standby_slots")
        standby.reload()
        subscriber.psql(f"ALTER SUBSCRIPTION feed CONNECTION '{address(there)}'")
        there.sql(RENAME.format("after"))
        until(lambda: subscriber.psql(FEED) == "after\n", 150)
        assert subscriber.psql("SELECT count(*) FROM public.tv_customer") == "200\n"


def synced(primary: Server, standby: Server) -> str:
    """The slots that outlive a promotion.

    One does once the standby can decode from it, for which the primary has to log what runs there; it
    does so every 15 seconds, and who synchronises looks again after up to 30.
    """
    primary.psql("SELECT pg_log_standby_snapshot()")
    return standby.psql("SELECT slot_name FROM pg_replication_slots WHERE synced AND NOT temporary")


def address(database: Database) -> str:
    return database.conninfo.replace("'", "''")
