"""Checks on prepared transactions, with real ones on the real extension."""

from __future__ import annotations

import threading
from dataclasses import replace

import psycopg
import pytest
from servers import Database, until

from pgtv.checks.examine import Examination, examine
from pgtv.checks.registry import select
from pgtv.finding import Effect, Severity


def look(database: Database, *checks: str, **thresholds: float) -> Examination:
    settings = dict.fromkeys(checks, thresholds)
    return examine(database.snapshot(), select(only=checks), settings)


@pytest.fixture
def prepared(shop: Database) -> str:
    """A prepared transaction on one customer, with a gid that needs quoting."""
    gid = 'it\'s "odd" \\ — 42'
    with shop.connect(autocommit=False) as connection:
        connection.execute("UPDATE public.tb_customer SET name = 'p' WHERE pk_customer = 1")
        connection.execute(psycopg.sql.SQL("PREPARE TRANSACTION {}").format(gid))
    return gid


def test_an_orphan_is_named_with_what_it_holds_and_resolved_as_printed(
    shop: Database, prepared: str
) -> None:
    assert not look(shop, "prepared-orphan").findings, "seconds old is no orphan"
    (finding,) = look(shop, "prepared-orphan", age_seconds=0.0).findings
    assert finding.object == prepared
    assert {"public.tv_customer", '"Sales Dept".tv_order'} <= set(finding.affects)
    held = {e["on"] for e in finding.evidence if "on" in e}
    assert "public.tb_customer" in held
    assert finding.remedy
    assert "COMMIT PREPARED" in finding.remedy.sql[0], "the other way is told"
    shop.sql("\n".join(finding.remedy.sql))
    assert not shop.snapshot().prepared


def test_who_waits_for_a_prepared_transaction_is_told_in_all_three_ways(
    shop: Database, prepared: str
) -> None:
    """By row (transaction id), by relation lock, and by the extension's advisory lock."""
    statements = (
        "UPDATE public.tb_customer SET email = 'w' WHERE pk_customer = 1",
        "LOCK TABLE public.tb_customer IN SHARE MODE",
        "SELECT tviews.pg_tviews_refresh('public.tv_customer')",
    )
    sessions = [shop.connect(autocommit=False) for _ in statements]
    threads = [
        threading.Thread(target=_swallow, args=(s, q), daemon=True)
        for s, q in zip(sessions, statements, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        with shop.connect() as watcher:
            until(
                lambda: (
                    watcher.execute(
                        "SELECT count(DISTINCT pid) = 3 FROM pg_locks WHERE NOT granted"
                    ).fetchone()
                    == (True,)
                )
            )
        (finding,) = look(shop, "prepared-blocks", wait_seconds=0.0).findings
        assert finding.object == prepared
        waiting = {e["waits"] for e in finding.evidence if "waits" in e}
        assert waiting == {f"pid {s.info.backend_pid}" for s in sessions}
        assert not look(shop, "lock-wait", warning_seconds=0.0).findings, "told by one check only"
    finally:
        for session in sessions:
            session.cancel_safe(timeout=5)
        for thread in threads:
            thread.join(10)
        for session in sessions:
            session.close()


def test_a_locked_table_is_told_before_anybody_waits(shop18: Database) -> None:
    """An index was built, and its transaction prepared: nobody writes there from now on."""
    shop18.sql(
        "BEGIN; UPDATE public.tb_category SET name = 'c' WHERE pk_category = 1;"
        " CREATE INDEX later ON public.tb_customer (email); PREPARE TRANSACTION 'built'"
    )
    (finding,) = look(shop18, "prepared-blocks").findings
    assert finding.effect is Effect.WRITES_FAIL
    assert "It holds SHARE on public.tb_customer: all who write there wait." in finding.detail
    with shop18.connect() as writer:
        writer.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            writer.execute("UPDATE public.tb_customer SET name = 'w' WHERE pk_customer = 9")
    assert finding.remedy
    shop18.sql("\n".join(finding.remedy.sql))
    assert not look(shop18, "prepared-blocks").findings


def _swallow(session: psycopg.Connection[object], statement: str) -> None:
    try:
        session.execute(statement)
    except psycopg.errors.QueryCanceled:
        session.rollback()


def test_another_databases_transaction_is_told_by_name(shop: Database, prepared: str) -> None:
    other = replace(shop, name="postgres")
    findings = look(other, "prepared-orphan", age_seconds=0.0).findings
    (finding,) = [f for f in findings if f.object == prepared]
    assert shop.name in finding.detail
    assert finding.remedy
    other.sql("\n".join(finding.remedy.sql))
    assert not other.snapshot().prepared, "pasted in any database, it connects to the right one"


def test_an_old_horizon_is_a_vacuum_problem(shop: Database, prepared: str) -> None:
    assert not look(shop, "prepared-vacuum").findings
    (finding,) = look(shop, "prepared-vacuum", xid_age=0.0).findings
    assert finding.object == prepared


def test_places_run_out(shop: Database, prepared: str) -> None:
    places = shop.snapshot().server.max_prepared_transactions
    (finding,) = look(shop, "prepared-slots", ratio=1 / places).findings
    assert finding.severity is Severity.WARNING
