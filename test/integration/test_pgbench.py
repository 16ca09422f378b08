"""TVIEWs over pgbench's own tables, under pgbench's own load: quiet while healthy, loud when broken."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bank import DRIFTED, OWNED, bank_of
from servers import REAL_MAJORS, Database, require_real, until

from pgtv.checks.contents import findings
from pgtv.checks.examine import examine
from pgtv.checks.registry import select
from pgtv.cluster.server import Server, new_server, run_as
from pgtv.finding import Finding, Severity

CLIENTS = 4


@pytest.fixture(scope="module", params=REAL_MAJORS, ids=lambda m: f"pg{m}")
def bank_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with new_server(require_real(request.param), ("pg_tviews",)) as server:
        yield server


@pytest.fixture(scope="module")
def bank(bank_server: Server) -> Database:
    return bank_of(bank_server, "bank", 1)


@contextmanager
def load(bank: Database, transactions: int) -> Iterator[subprocess.Popen[str]]:
    """pgbench's TPC-B-like load; ends by itself, and must have ended well.

    It runs a transaction again after 40001 and 40P01, which it meets without pgtv too, and gives up at any
    other error.
    """
    process = subprocess.Popen(
        [
            str(bank.server.binaries / "bin/pgbench"), "-n", "-c", str(CLIENTS), "-j", "2",
            "-t", str(transactions), "--max-tries", "100", bank.name,
        ],
        env=bank.server.env(bank.name), cwd=bank.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **run_as(),
    )  # fmt: skip
    try:
        yield process
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert f"processed: {CLIENTS * transactions}/" in out, out
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def alarms(bank: Database) -> list[Finding]:
    """What doctor says above info, but for waits: on a busy machine pgbench's rows are waited for."""
    checks = select(skip=("lock-wait",))
    examination = examine(bank.snapshot(), checks)
    return [f for f in examination.findings if f.severity is not Severity.INFO]


def contents(bank: Database) -> list[Finding]:
    """What verification says above info."""
    found = findings(bank.target(), bank.snapshot())
    return [f for f in found if f.severity is not Severity.INFO]


def test_quiet_before_during_and_after_load(bank: Database) -> None:
    assert alarms(bank) == []
    looked = 0
    with load(bank, 300) as process:
        while process.poll() is None:
            assert alarms(bank) == [], "under load"
            looked += 1
    assert looked
    assert alarms(bank) == []
    assert contents(bank) == []
    moved = "SELECT coalesce(sum(delta), 0), count(*) FROM pgbench_history"
    totals = "SELECT sum((data->>'moved')::int), sum((data->>'n')::int) FROM tv_activity"
    assert bank.sql(moved) == bank.sql(totals)


def test_contents_verified_while_they_change(bank: Database) -> None:
    verified = 0
    with load(bank, 300) as process:
        while process.poll() is None:
            assert contents(bank) == [], "under load"
            verified += 1
    assert verified


def test_a_trigger_disabled_under_load_is_found_and_cured_as_printed(bank: Database) -> None:
    with load(bank, 300) as process:
        bank.sql("ALTER TABLE pgbench_tellers DISABLE TRIGGER USER")
        found = alarms(bank)
        assert "public.pgbench_tellers" in {f.object for f in found}
        assert {"public.tv_teller", "public.tv_balance"} <= {a for f in found for a in f.affects}
        assert process.poll() is None
    assert "public.tv_teller" in {f.object for f in contents(bank)}
    for _ in range(3):
        for finding in [*alarms(bank), *contents(bank)]:
            if finding.caused_by is None and finding.remedy:
                bank.sql("\n".join(finding.remedy.sql))
    assert alarms(bank) == []
    assert contents(bank) == []


def test_rows_written_past_the_triggers_under_load_are_found(bank: Database) -> None:
    with load(bank, 200):
        bank.sql(
            "SET session_replication_role = replica;"
            "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = 4242"
        )
        assert "public.tv_account" in {f.object for f in contents(bank)}
    # not overwritten by chance: the load takes one of 100,000 accounts a transaction
    (finding,) = contents(bank)
    assert finding.object == "public.tv_account"
    assert finding.remedy
    bank.sql("\n".join(finding.remedy.sql))
    assert contents(bank) == []


@pytest.mark.slow
def test_rows_are_brought_under_load(bank_server: Server, tmp_path: Path) -> None:
    """By refresh, and by repair after a trigger is gone; every transaction beside it gets through."""
    bank = bank_of(bank_server, "drifted", 1)
    bank.sql(OWNED)
    done = "SELECT count(*) FROM pgbench_history"
    receipt = ("--receipt", str(tmp_path / "receipt.json"))
    for break_, command in (
        (DRIFTED, ("refresh", "--apply", *receipt)),
        (f"ALTER TABLE pgbench_tellers DISABLE TRIGGER USER; {DRIFTED}",
         ("repair", "--verify", "--apply", *receipt)),
    ):  # fmt: skip
        bank.sql(break_)
        began = bank.sql(done)
        with load(bank, 250):
            until(lambda began=began: bank.sql(done) != began)
            before = int(bank.sql(done))
            brought = bank.pgtv(*command)
            assert brought.returncode == 0, brought.stdout + brought.stderr
            assert int(bank.sql(done)) > before, "nobody wrote meanwhile"
        assert contents(bank) == []


@pytest.mark.slow
@pytest.mark.whole
def test_a_million_accounts(bank_server: Server) -> None:
    bank = bank_of(bank_server, "million", 10)
    try:
        assert alarms(bank) == []
        with load(bank, 500) as process:
            while process.poll() is None:
                assert alarms(bank) == [], "under load"
        assert contents(bank) == []
        assert alarms(bank) == []
    finally:
        bank_server.drop_database("million")
