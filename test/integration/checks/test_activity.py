"""Checks on what goes on, with sessions that really wait, on the real extension."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest
from servers import Database, require_real, shop_server, until

from pgtv.checks.examine import Examination, examine
from pgtv.checks.registry import select
from pgtv.finding import Effect, Severity


def look(database: Database, check: str, **thresholds: float) -> Examination:
    return examine(database.snapshot(), select(only=(check,)), {check: thresholds})


def test_who_blocks_whom(shop: Database) -> None:
    """A queue of two behind one session: the head of the queue is named, and ends as printed."""
    with contextlib.closing(shop.connect(autocommit=False)) as head:
        head.execute("SELECT tviews.pg_tviews_refresh('public.tv_customer')")
        waiting = [shop.connect(autocommit=False) for _ in range(2)]
        statements = (
            "SELECT count(*) FROM public.tv_customer",
            "UPDATE public.tb_customer SET name = 'q' WHERE pk_customer = 3",
        )
        threads = [
            threading.Thread(target=s.execute, args=(q,), daemon=True)
            for s, q in zip(waiting, statements, strict=True)
        ]
        for thread in threads:
            thread.start()
        with shop.connect() as watcher:
            until(
                lambda: (
                    watcher.execute(
                        "SELECT count(DISTINCT pid) = 2 FROM pg_locks WHERE NOT granted"
                    ).fetchone()
                    == (True,)
                )
            )
        findings = look(shop, "lock-wait", warning_seconds=0.0, critical_seconds=0.0).findings
        (finding,) = findings
        assert finding.severity is Severity.CRITICAL
        assert {e["blocks"] for e in finding.evidence if "blocks" in e} == {
            f"pid {head.info.backend_pid}"
        }
        assert {e["waits"] for e in finding.evidence if "waits" in e} == {
            f"pid {s.info.backend_pid}" for s in waiting
        }
        assert '"Sales Dept".tv_order' in finding.affects
        assert "name = ?" in str(finding.evidence), "no literal of a customer's is shown"
        assert finding.remedy
        shop.sql("\n".join(finding.remedy.sql))
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), "the printed statement frees the queue"
        for session in waiting:
            session.close()


def test_idle_in_transaction(shop: Database) -> None:
    closing = contextlib.closing
    with (
        closing(shop.connect(autocommit=False)) as idle,
        closing(shop.connect(autocommit=False)) as harmless,
    ):
        idle.execute("UPDATE public.tb_customer SET name = 'i' WHERE pk_customer = 5")
        harmless.execute("SELECT 1")
        assert not look(shop, "idle-in-transaction").findings, "not yet five minutes"
        (finding,) = look(shop, "idle-in-transaction", seconds=0.0).findings
        assert finding.object == f"pid {idle.info.backend_pid}"
        assert "public.tv_customer" in finding.affects
        assert finding.remedy
        shop.sql("\n".join(finding.remedy.sql))
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    assert not look(shop, "idle-in-transaction", seconds=0.0).findings


def test_a_long_transaction(shop: Database) -> None:
    with shop.connect(autocommit=False) as lasting:
        lasting.execute("SELECT 1")
        assert not look(shop, "long-transaction").findings
        (finding,) = look(shop, "long-transaction", seconds=0.0).findings
        assert finding.object == f"pid {lasting.info.backend_pid}"


def test_connections(shop: Database) -> None:
    assert not look(shop, "connections").findings
    (finding,) = look(shop, "connections", warning=0.0).findings
    assert finding.severity is Severity.WARNING
    (finding,) = look(shop, "connections", warning=0.0, critical=0.0).findings
    assert finding.severity is Severity.CRITICAL


def test_a_slot_that_nobody_reads(shop: Database) -> None:
    name = f"slot_{shop.name}"
    shop.sql(f"SELECT pg_create_physical_replication_slot('{name}', true)")
    try:
        (finding,) = look(shop, "replication-slot", bytes=0.0).findings
        assert finding.object == f"slot {name}"
        assert finding.remedy
        shop.sql("\n".join(finding.remedy.sql))
        assert not look(shop, "replication-slot", bytes=0.0).findings
    finally:
        shop.sql(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            f" WHERE slot_name = '{name}'"
        )


@pytest.fixture
def subscriber(shop: Database) -> Iterator[Database]:
    """A second server whose shop subscribes to two tables of the first one's."""
    shop.sql("CREATE PUBLICATION orders FOR TABLE public.tb_customer, public.tb_category")
    with shop_server(require_real(shop.server.major)) as other:
        there = Database(other, "shop_template")
        source = shop.conninfo.replace("'", "''")
        there.sql(
            f"CREATE SUBSCRIPTION feed CONNECTION '{source}' PUBLICATION orders"
            " WITH (copy_data = false)"
        )
        yield there
        there.sql("DROP SUBSCRIPTION feed")


def test_a_subscription_that_writes_a_base_table(shop: Database, subscriber: Database) -> None:
    (finding,) = look(subscriber, "subscription-writes").findings
    assert finding.effect is Effect.ROWS_WRONG
    assert finding.severity is Severity.CRITICAL
    assert {"public.tv_customer", '"Sales Dept".tv_order'} <= set(finding.affects)
    # it is true what it says: a replicated change does not reach the TVIEW …
    shop.sql("UPDATE public.tb_customer SET name = 'replicated' WHERE pk_customer = 1")
    here = "SELECT name FROM public.tb_customer WHERE pk_customer = 1"
    until(lambda: subscriber.sql(here).strip() == "replicated")
    there = "SELECT data->>'name' FROM public.tv_customer WHERE pk_customer = 1"
    assert subscriber.sql(there).strip() != "replicated"
    # … and the printed statements bring it
    assert finding.remedy
    subscriber.sql("\n".join(finding.remedy.sql))
    assert subscriber.sql(there).strip() == "replicated"
    secrets = str(subscriber.snapshot())
    assert str(shop.server.root) not in secrets.replace(subscriber.conninfo, "")
