"""Checks on what goes on, with sessions that really wait, on the real extension."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator

import psycopg
import pytest
from contents import differing
from pasting import OWNER, paste
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


def test_a_blocker_that_is_hidden_is_not_ended(shop: Database) -> None:
    """A role without pg_monitor is told what it takes to see; as a member of it, it sees."""
    shop.sql(
        "DO $$ BEGIN CREATE ROLE plain_user LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    with (
        contextlib.closing(shop.connect(autocommit=False)) as head,
        contextlib.closing(shop.connect(autocommit=False)) as waiting,
    ):
        head.execute("LOCK TABLE public.tb_customer")
        query = "UPDATE public.tb_customer SET name = 'q' WHERE pk_customer = 3"
        thread = threading.Thread(target=waiting.execute, args=(query,), daemon=True)
        thread.start()
        until(lambda: shop.sql("SELECT true FROM pg_locks WHERE NOT granted").strip() == "t")
        hidden = examine(
            shop.snapshot("plain_user"), select(only=("lock-wait",)),
            {"lock-wait": {"warning_seconds": 0.0}},
        ).findings  # fmt: skip
        head.rollback()
        thread.join(20)
        assert not thread.is_alive()
    (finding,) = [f for f in hidden if f.severity is not Severity.UNKNOWN]
    assert finding.object == "public.tb_customer"
    assert finding.remedy and not finding.remedy.sql and not finding.remedy.decide
    assert 'GRANT pg_monitor TO "plain_user";' in str(finding.remedy.note)


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


def test_a_whole_table_that_is_locked_is_closed_to_writers(shop: Database) -> None:
    """Locked rows keep those away who write them; a locked table keeps everybody away."""
    with contextlib.closing(shop.connect(autocommit=False)) as holder:
        holder.execute("UPDATE public.tb_customer SET name = 'i' WHERE pk_customer = 5")
        for check in ("idle-in-transaction", "long-transaction"):
            (finding,) = look(shop, check, seconds=0.0).findings
            assert finding.effect is Effect.RISK
        holder.execute("LOCK TABLE public.tb_product IN SHARE MODE")
        for check in ("idle-in-transaction", "long-transaction"):
            (finding,) = look(shop, check, seconds=0.0).findings
            assert finding.effect is Effect.WRITES_FAIL
            assert "SHARE on public.tb_product: all who write there wait." in finding.detail


@pytest.mark.parametrize(
    ("held", "wanted", "effect"),
    [
        ("SHARE UPDATE EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", Effect.RISK),
        ("ROW EXCLUSIVE", "SHARE", Effect.WRITES_FAIL),
    ],
)
def test_who_waits_and_keeps_writers_waiting(
    shop18: Database, held: str, wanted: str, effect: Effect
) -> None:
    """A VACUUM that waits stops nobody; an index build that waits stops who writes after it."""
    writes = "UPDATE public.tb_customer SET name = 'w' WHERE pk_customer = 9"
    with contextlib.ExitStack() as stack:
        holder, waiting, writer = (
            stack.enter_context(contextlib.closing(shop18.connect(autocommit=False)))
            for _ in range(3)
        )
        holder.execute(f"LOCK TABLE public.tb_customer IN {held} MODE".encode())
        query = f"LOCK TABLE public.tb_customer IN {wanted} MODE".encode()
        thread = threading.Thread(target=waiting.execute, args=(query,), daemon=True)
        thread.start()
        until(lambda: shop18.sql("SELECT true FROM pg_locks WHERE NOT granted").strip() == "t")
        (finding,) = look(shop18, "lock-wait", warning_seconds=0.0).findings
        assert finding.effect is effect
        writer.execute("SET lock_timeout = '50ms'")
        with (
            pytest.raises(psycopg.errors.LockNotAvailable)
            if effect is Effect.WRITES_FAIL
            else contextlib.nullcontext()
        ):
            writer.execute(writes)
        holder.rollback()
        thread.join(20)


def test_a_long_transaction(shop: Database) -> None:
    with shop.connect(autocommit=False) as lasting:
        lasting.execute("SELECT 1")
        assert not look(shop, "long-transaction").findings
        (finding,) = look(shop, "long-transaction", seconds=0.0).findings
        assert finding.object == f"pid {lasting.info.backend_pid}"


def test_room_left_is_that_of_the_file_system(shop18: Database) -> None:
    """By the Unix socket of the same host only; over TCP the directory may be anywhere."""
    directory = shop18.sql("SHOW data_directory").strip()
    room = os.statvfs(directory)
    used = 1 - room.f_bavail / room.f_blocks
    (finding,) = look(shop18, "room", warning=used - 0.05, critical=1.1).findings
    assert finding.severity is Severity.WARNING
    left = float(re.search(r"([\d.,]+) GiB are left", finding.detail)[1].replace(",", ""))  # type: ignore[index]
    assert left == pytest.approx(room.f_bavail * room.f_frsize / 2**30, rel=0.1, abs=0.2)
    assert paste(shop18, finding) == "pg_monitor"
    assert not look(shop18, "room", warning=used + 0.05, critical=1.1).findings
    shop18.sql("CREATE ROLE looks_only LOGIN")
    try:
        seen = examine(shop18.snapshot("looks_only"), select(only=("room",)))
        assert [f.severity for f in seen.findings] == [Severity.UNKNOWN]
    finally:
        shop18.sql("DROP ROLE looks_only")


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
        paste(shop, finding)
        assert not look(shop, "replication-slot", bytes=0.0).findings
    finally:
        shop.sql(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            f" WHERE slot_name = '{name}'"
        )


def test_a_slot_beyond_the_limit_is_kept_and_later_lost(shop: Database) -> None:
    """Until the next checkpoint a higher limit saves it, as printed; after that it is lost."""
    name = f"slot_{shop.name}"
    status = f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{name}'"
    shop.sql(f"SELECT pg_create_physical_replication_slot('{name}', true)")
    try:
        shop.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'; SELECT pg_reload_conf()")
        for _ in range(2):  # two segments further, whatever their size
            shop.sql("SELECT pg_logical_emit_message(false, 'x', 'x'); SELECT pg_switch_wal()")
        until(lambda: shop.sql(status).strip() == "unreserved")
        (finding,) = look(shop, "replication-slot").findings
        assert finding.severity is Severity.WARNING
        assert finding.remedy and finding.remedy.undo and finding.remedy.decide
        assert "drop" not in str(finding.remedy)
        shop.sql("\n".join(finding.remedy.sql))
        until(lambda: shop.sql(status).strip() in ("reserved", "extended"))
        assert not look(shop, "replication-slot").findings, "reserved again, and nothing was lost"
        shop.sql(finding.remedy.undo)
        until(lambda: shop.sql(status).strip() == "unreserved")
        shop.sql("CHECKPOINT")
        until(lambda: shop.sql(status).strip() == "lost")
        (finding,) = look(shop, "replication-slot").findings
        assert "anew" in finding.detail
        assert finding.remedy
        shop.sql("\n".join(finding.remedy.sql))
        assert not look(shop, "replication-slot").findings
    finally:
        shop.sql("ALTER SYSTEM RESET max_slot_wal_keep_size; SELECT pg_reload_conf()")
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
    # … and the printed statements bring it, each TVIEW once: a refresh goes on to its dependents
    assert finding.remedy
    refreshed = {s for s in finding.remedy.sql if "refresh" in s}
    assert len(refreshed) < len(finding.affects)
    assert finding.remedy.sql[0].startswith("SET lock_timeout")
    assert paste(subscriber, finding) == OWNER
    assert differing(subscriber) == {}, "every TVIEW that the subscription reaches"
    assert subscriber.sql(there).strip() == "replicated"
    # rows that it applies fire triggers that are ENABLE ALWAYS, and its worker fails at every commit
    always = "ALTER TABLE public.tb_customer ENABLE {} TRIGGER trg_tview_row_customer_on_public_tb_customer"
    subscriber.sql(always.format("ALWAYS"))
    (fires,) = look(subscriber, "trigger-always").findings
    assert (fires.effect, fires.severity) == (Effect.WRITES_FAIL, Severity.CRITICAL)
    shop.sql("UPDATE public.tb_customer SET name = 'stuck' WHERE pk_customer = 1")
    errors = "SELECT sum(apply_error_count) > 0 FROM pg_stat_subscription_stats"
    until(lambda: subscriber.sql(errors).strip() == "t")
    assert subscriber.sql(here).strip() == "replicated"
    assert paste(subscriber, fires) == OWNER
    until(lambda: subscriber.sql(here).strip() == "stuck")
    secrets = str(subscriber.snapshot())
    assert str(shop.server.root) not in secrets.replace(subscriber.conninfo, "")
