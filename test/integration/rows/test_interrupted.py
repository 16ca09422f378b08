"""Ctrl-C ends a merge at once, whatever its sessions wait for; what was committed is recorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from contents import differing
from processes import running
from servers import Database, until

from pgtv import journal
from pgtv.rows.stopping import Stop
from pgtv.rows.throttle import Limits, Throttle

# of tables that read one another or not, hundreds of rows: at the pace of these tests, minutes of work
DRIFT = """
BEGIN;
UPDATE public.tv_customer SET data = '{}';
UPDATE public.tv_stock SET data = '{}';
UPDATE public.tv_category SET data = '{}';
COMMIT;
"""
QUIET = "SET session_replication_role = replica;"
RIGHT = "SELECT (SELECT count(*) FROM {0} WHERE data <> '{{}}')"
CUSTOMERS, STOCK = RIGHT.format("public.tv_customer"), RIGHT.format("public.tv_stock")
# as if one TVIEW of these had the many rows that are shared out by ranges of the key
SHARED = (
    "import sys; import pgtv.rows.wrong as w; w.MOST = 5\n"
    "from pgtv.cli.main import main; main(sys.argv[1:])"
)
# its receipt is not written again before the run ends
SELDOM = (
    "import sys; import pgtv.saving as s; s.EVERY = 1e9\n"
    "from pgtv.cli.main import main; main(sys.argv[1:])"
)


def refreshing(
    shop: Database, folder: Path, *options: str, program: tuple[str, ...] = ("-m", "pgtv")
) -> Any:
    return acting(shop, folder, "refresh", *options, program=program)


def acting(
    shop: Database, folder: Path, *words: str, program: tuple[str, ...] = ("-m", "pgtv")
) -> Any:
    command = [sys.executable, *program, *words, "--apply", "--batch", "1"]
    return running(command, env=shop.server.env(shop.name), cwd=folder)


def interrupted(
    process: subprocess.Popen[str], how: signal.Signals = signal.SIGINT, within: int = 30
) -> str:
    process.send_signal(how)
    _, said = process.communicate(timeout=within)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert said.endswith("interrupted\n")
    return said


def count(shop: Database, what: str) -> int:
    return int(shop.sql(what))


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_who_sleeps_for_the_rate(shop18: Database, tmp_path: Path, jobs: str) -> None:
    shop18.sql(DRIFT)
    with refreshing(shop18, tmp_path, "--jobs", jobs, "--max-rate", "10") as process:
        until(lambda: count(shop18, CUSTOMERS) or count(shop18, STOCK))
        interrupted(process)
    assert len(differing(shop18)) >= 2, "it was merged to its end"


@pytest.mark.parametrize("args", [
    ("-m", "pgtv", "--jobs", "1"), ("-m", "pgtv", "--jobs", "4"),
    ("-c", SHARED, "tv_customer", "--jobs", "2"),
], ids=["alone", "side by side", "sharing a TVIEW"])  # fmt: skip
def test_who_is_paused(shop18: Database, tmp_path: Path, args: tuple[str, ...]) -> None:
    shop18.sql(DRIFT)
    control = tmp_path / "control"
    control.write_text("pause\n")
    program, options = args[:2], (*args[2:], "--control", str(control))
    with refreshing(shop18, tmp_path, *options, program=program) as process:
        assert process.stderr
        assert any(line == "paused\n" for line in process.stderr)
        interrupted(process)
    assert count(shop18, CUSTOMERS) == 0


@pytest.mark.parametrize("jobs", ["1", "4"])
@pytest.mark.parametrize("older", [True, False], ids=["older", "at the barrier"])
def test_who_waits_for_writers(shop18: Database, tmp_path: Path, jobs: str, older: bool) -> None:
    shop18.sql(DRIFT)
    control = tmp_path / "control"
    control.write_text("pause\n")
    options = ("tv_category", "tv_stock", "--jobs", jobs, "--control", str(control))
    with shop18.connect(autocommit=False) as writer:
        if older:
            writer.execute("UPDATE public.tb_category SET name = name WHERE pk_category = 1")
        with refreshing(shop18, tmp_path, *options) as process:
            waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%virtualtransaction%'"
            waits += " AND application_name = 'pgtv' AND datname = current_database()"
            if older:
                until(lambda: count(shop18, waits))
            else:
                assert process.stderr
                assert any(line == "paused\n" for line in process.stderr)
                writer.execute("LOCK TABLE public.tb_category IN ROW EXCLUSIVE MODE")
                control.write_text("")
                until(lambda: count(shop18, waits))
            interrupted(process)


def test_every_wait_of_a_throttle_ends(shop18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    behind = "SELECT true, 1::int8, 1, 'a standby', 99::float8, 0::int8, false"
    monkeypatch.setattr("pgtv.rows.lag._LAG", behind)
    for limits in (Limits(rate=0.001), Limits(pause=True), Limits(lag=1.0)):
        stop = Stop()
        throttle = Throttle(limits, [], pause=stop.pause)
        stop.all([], lambda _: True)
        with shop18.connect() as connection, pytest.raises(KeyboardInterrupt):
            throttle(connection, 1)


@contextmanager
def under_way(shop: Database, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command that has committed batches of two TVIEWs or one, and stands between two of them."""
    before = len(committed(shop))
    control = folder / "control"
    control.write_text("max-rate=100\n")
    with acting(
        shop, folder, *words, "--receipt", "receipt.json", "--control", str(control)
    ) as process:
        until(lambda: len(committed(shop)) > before + 5)
        control.write_text("pause\n")
        assert process.stderr
        assert any(line == "paused\n" for line in process.stderr)
        yield process


def committed(shop: Database) -> set[tuple[str, str]]:
    """Rows that are right by now."""
    found = set()
    for entity in ("customer", "stock", "category"):
        keys = shop.sql(f"SELECT pk_{entity} FROM public.tv_{entity} WHERE data <> '{{}}'").split()
        found |= {(f"public.tv_{entity}", key) for key in keys}
    return found


def recorded(receipt: Path) -> set[tuple[str, str]]:
    held = json.loads(receipt.read_text())
    entries = [*held["tviews" if "tviews" in held else "rows"], *journal.left(receipt)]
    return {(e["tview"], o["key"][0]) for e in entries for o in e["overwritten"]}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize(
    "words", [("refresh",), ("refresh", "--jobs", "4"), ("repair", "rows", "--verify")],
    ids=["refresh", "refresh, four jobs", "repair"],
)  # fmt: skip
def test_what_was_overwritten_is_recorded_however_it_ends(
    shop18: Database, tmp_path: Path, how: signal.Signals, words: tuple[str, ...]
) -> None:
    shop18.sql(DRIFT)
    receipt = tmp_path / "receipt.json"
    with under_way(shop18, tmp_path, *words) as process:
        if how is signal.SIGKILL:
            process.kill()
            process.wait(30)
        else:
            interrupted(process, how)
    done = committed(shop18)
    assert len(done) > 5
    told = recorded(receipt)
    assert told <= done
    # one session stands, others may have been killed between a commit and its line
    at_work = 3 if how is signal.SIGKILL and "--jobs" in words else 0
    assert len(done - told) <= at_work
    assert journal.beside(receipt).exists() is (how is signal.SIGKILL)
    outcome = json.loads(receipt.read_text())["outcome"]
    assert outcome == ("running" if how is signal.SIGKILL else "interrupted")


KILLED = (
    ("repair", "rows", "--verify"), ("refresh",), ("triggers", "enable"),
)  # fmt: skip


@pytest.mark.parametrize("words", KILLED, ids=" ".join)
@pytest.mark.parametrize("same", [False, True], ids=["new receipt", "same receipt"])
def test_the_next_run_takes_over_what_the_killed_one_left(
    shop18: Database, tmp_path: Path, words: tuple[str, ...], same: bool
) -> None:
    """Into its receipt, which is kept under another name where the next one is to be written."""
    assert shop18.pgtv("init", "--apply").returncode == 0
    if words[0] == "triggers":
        lease = ("triggers", "disable", "--for", "1h", "--reason", "it", "--apply")
        assert shop18.pgtv(*lease).returncode == 0
    shop18.sql(DRIFT)
    receipt, next_one = tmp_path / "receipt.json", tmp_path / "next.json"
    with under_way(shop18, tmp_path, *words) as process:
        process.kill()
        process.wait(30)
    before = committed(shop18)
    elsewhere = tmp_path / "other.json"
    elsewhere.write_text(
        '{"schema": "pgtv.refresh/1", "system_identifier": "7", "database_oid": 1}'
    )
    journal.beside(elsewhere).write_text("")  # of another database: perhaps it runs
    gone = tmp_path / "gone.json"
    journal.beside(gone).write_text("")
    given = receipt if same else next_one
    done = shop18.pgtv(*words, "--apply", "--receipt", str(given))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"it has all that the run overwrote now: {receipt}\n" in done.stderr
    assert f"what it overwrote: {journal.beside(gone)}\n" in done.stderr
    assert str(elsewhere) not in done.stderr and journal.beside(elsewhere).exists()
    kept = tmp_path / "receipt-killed-0.json" if same else receipt
    assert (f"the receipt of a run that was killed is {kept} now" in done.stderr) is same
    assert not journal.beside(receipt).exists()
    assert recorded(kept) == before, "and nothing else"
    assert json.loads(kept.read_text())["outcome"] == "running"
    assert json.loads(given.read_text())["outcome"] == "complete"
    assert recorded(given) and not recorded(given) & before
    assert not differing(shop18)
    again = shop18.pgtv(*words, "--apply", "--receipt", str(given))
    assert "it has all" not in again.stderr and "-killed-" not in again.stderr, "told once"


@contextmanager
def deaf(shop: Database) -> Iterator[None]:
    """The server answers nobody who connects, which is how statements are cancelled."""
    postmaster = int((shop.server.data / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(postmaster, signal.SIGCONT)


WAITS = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.application_name = 'pgtv' AND a.datname = current_database()
"""


@pytest.mark.parametrize("words", [
    ("verify", "--jobs", "1"), ("verify", "--jobs", "2"), ("verify", "tv_customer", "--key", "3"),
    ("triggers", "disable", "tv_customer", "--for", "1h", "--reason", "it", "--apply"),
], ids=["verify", "verify, two jobs", "one row", "statements"])  # fmt: skip
def test_an_interrupt_stays_one_where_nothing_can_be_cancelled(
    shop18: Database, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert shop18.pgtv("init", "--apply").returncode == 0
    command = [sys.executable, "-m", "pgtv", *words, "--lock-timeout", "60s"]
    with shop18.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE public.tv_customer, public.tb_customer")
        with running(command, env=shop18.server.env(shop18.name), cwd=tmp_path) as process:
            until(lambda: count(shop18, WAITS))
            with deaf(shop18):
                interrupted(process, within=60)


# walking upstream from a row that differs takes a minute for each
SLOW_WALK = (
    "import sys; import pgtv.rows.upstream as u\n"
    "u.statements.rows = lambda *_: 'SELECT pg_catalog.pg_sleep(60)::text'\n"
    "from pgtv.cli.main import main; main(sys.argv[1:])"
)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_who_looks_for_whose_fault_rows_are(shop18: Database, tmp_path: Path, jobs: str) -> None:
    """The row that was looked at does not count as one with a problem, after which comes the next."""
    shop18.sql(f"""{QUIET} UPDATE "Sales Dept".tv_order SET data = '{{}}' WHERE pk_order < 5""")
    command = [sys.executable, "-c", SLOW_WALK, "verify", "tv_order", "--jobs", jobs]
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    sleeps += " AND application_name = 'pgtv' AND datname = current_database()"
    with running(command, env=shop18.server.env(shop18.name), cwd=tmp_path) as process:
        until(lambda: count(shop18, sleeps))
        interrupted(process)
    until(lambda: not count(shop18, sleeps))


def test_an_interrupted_merge_is_recorded_where_nothing_can_be_cancelled(
    shop18: Database, tmp_path: Path
) -> None:
    shop18.sql(DRIFT)
    with under_way(shop18, tmp_path, "refresh") as process, deaf(shop18):
        interrupted(process, within=60)
    receipt = tmp_path / "receipt.json"
    assert json.loads(receipt.read_text())["outcome"] == "interrupted"
    assert recorded(receipt) == committed(shop18)


@pytest.mark.parametrize("words", [("refresh",), ("repair", "rows", "--verify")], ids=" ".join)
@pytest.mark.parametrize("how", ["to its end", "interrupted"])
def test_a_receipt_that_cannot_be_written_any_more(
    shop18: Database, tmp_path: Path, words: tuple[str, ...], how: str
) -> None:
    """What it lacks stays beside it, which is told, and the next run takes it over."""
    shop18.sql(DRIFT)
    receipt, blocked = tmp_path / "receipt.json", tmp_path / "receipt.json.partial"
    with under_way(shop18, tmp_path, *words) as process:
        blocked.mkdir()  # where it is written first
        if how == "interrupted":
            process.send_signal(signal.SIGINT)
        else:
            (tmp_path / "control").write_text("")
        out, said = process.communicate(timeout=60)
    assert process.returncode == (130 if how == "interrupted" else 3), said
    kept = journal.beside(receipt)
    # an interrupt may come before the first batch since the receipt was written
    assert kept.exists() or how == "interrupted"
    told = f"what the receipt lacks of what was overwritten: {kept.name}\n" in out + said
    assert told is kept.exists()
    before = committed(shop18)
    assert recorded(receipt) == before
    blocked.rmdir()
    done = shop18.pgtv(*words, "--apply", "--receipt", str(tmp_path / "next.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert recorded(receipt) == before and not journal.beside(receipt).exists()
    assert not differing(shop18)


def test_tviews_that_ended_since_the_receipt_was_written(shop18: Database, tmp_path: Path) -> None:
    """The run that goes on from one that was killed has them, as they ended, and leaves them out."""
    shop18.sql(DRIFT)
    control, receipt = tmp_path / "control", tmp_path / "receipt.json"
    control.write_text("max-rate=100\n")
    given = ("--receipt", str(receipt), "--control", str(control))
    with acting(shop18, tmp_path, "refresh", *given, program=("-c", SELDOM)) as process:
        until(lambda: len({tview for tview, _ in committed(shop18)}) > 1)
        control.write_text("pause\n")
        assert process.stderr
        assert any(line == "paused\n" for line in process.stderr)
        process.kill()
        process.wait(30)
    assert json.loads(receipt.read_text())["tviews"] == []
    ended = {e["tview"]: e for e in journal.left(receipt) if e["end"] == "merged"}
    assert len(ended) >= 1 and recorded(receipt) == committed(shop18)
    done = shop18.pgtv("refresh", "--apply", "--resume", "--receipt", str(receipt))
    assert done.returncode == 0, done.stderr
    entries = json.loads(receipt.read_text())["tviews"]
    for tview, one in ended.items():
        assert [e for e in entries if e["tview"] == tview] == [one]
        assert tview not in done.stdout
    assert not differing(shop18)


def test_who_goes_on_keeps_what_the_killed_one_had_overwritten(
    shop18: Database, tmp_path: Path
) -> None:
    shop18.sql(DRIFT)
    receipt = tmp_path / "receipt.json"
    for _ in range(2):
        with under_way(shop18, tmp_path, "refresh", "--resume") as process:
            process.kill()
            process.wait(30)
        assert recorded(receipt) == committed(shop18)
    before = recorded(receipt)
    done = shop18.pgtv("refresh", "--apply", "--resume", "--receipt", str(receipt))
    assert done.returncode == 0, done.stderr
    held = json.loads(receipt.read_text())
    assert held["outcome"] == "complete" and not journal.beside(receipt).exists()
    assert recorded(receipt) > before
    assert not differing(shop18)
    again = shop18.pgtv("refresh", "--apply", "--resume", "--receipt", str(receipt))
    assert again.stdout == ""
    assert recorded(receipt) > before
