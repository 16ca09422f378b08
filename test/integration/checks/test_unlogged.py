"""UNLOGGED TVIEWs after a crash and on a standby, each on a server of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from servers import TEMPLATE, Database, require_real, shop_server

from pgtv.checks.examine import examine
from pgtv.checks.registry import select
from pgtv.cluster.server import Server
from pgtv.finding import Finding, Severity


@pytest.fixture
def server() -> Iterator[Server]:
    with shop_server(require_real(18)) as server:
        yield server


def _findings(shop: Database, check: str) -> tuple[Finding, ...]:
    return examine(shop.snapshot(), select((check,))).findings


@pytest.mark.real
@pytest.mark.slow
def test_reset_by_a_crash(server: Server) -> None:
    # the extension's worker would refill it; this database is not among those that it serves
    server.configure({"pg_tviews.auto_rebuild_databases": "postgres"})
    server.restart()
    shop = Database(server, TEMPLATE)
    assert _findings(shop, "unlogged-reset") == ()
    server.kill()
    server.start()
    assert shop.sql("SELECT count(*) FROM public.tv_search") == "0\n"
    (finding,) = _findings(shop, "unlogged-reset")
    assert finding.severity is Severity.CRITICAL and finding.object == "public.tv_search"
    assert finding.remedy
    shop.sql("\n".join(finding.remedy.sql))
    assert _findings(shop, "unlogged-reset") == ()
    assert shop.sql("SELECT count(*) FROM public.tv_search") == "100\n"


@pytest.mark.real
@pytest.mark.slow
def test_a_refill_that_waits_for_a_prepared_transaction_says_so(server: Server) -> None:
    server.configure({"pg_tviews.auto_rebuild_databases": "postgres"})
    server.restart()
    shop = Database(server, TEMPLATE)
    held = "BEGIN; INSERT INTO public.tb_category (name) VALUES ('x'); PREPARE TRANSACTION 'held'"
    shop.sql(held)
    server.kill()
    server.start()
    (finding,) = _findings(shop, "unlogged-reset")
    assert {"refill waits for": "prepared transaction held"} in finding.evidence
    assert finding.remedy and finding.remedy.note and "prepared 'held'" in finding.remedy.note
    with pytest.raises(Exception, match="lock timeout"):
        shop.sql("\n".join(finding.remedy.sql))
    shop.sql("ROLLBACK PREPARED 'held'")
    (finding,) = _findings(shop, "unlogged-reset")
    assert finding.remedy and finding.remedy.note and "held" not in finding.remedy.note
    shop.sql("\n".join(finding.remedy.sql))
    assert _findings(shop, "unlogged-reset") == ()


@pytest.mark.real
@pytest.mark.slow
def test_on_a_standby(server: Server) -> None:
    shop = Database(server, TEMPLATE)
    assert _findings(shop, "unlogged-standby") == ()
    with server.standby() as standby:
        standby.start()
        there = Database(standby, TEMPLATE)
        (finding,) = _findings(there, "unlogged-standby")
        assert finding.severity is Severity.WARNING and finding.object == "public.tv_search"
        with there.connect() as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute("SELECT count(*) FROM public.tv_search")
        assert refused.value.sqlstate == "0A000"
        deadline = time.monotonic() + 30
        while not (found := _findings(shop, "unlogged-standby")):
            assert time.monotonic() < deadline, "the primary does not see its standby"
        assert [f.severity for f in found] == [Severity.INFO]
