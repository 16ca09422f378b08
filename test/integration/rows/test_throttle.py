"""What holds merges back, on the real extension."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contents import differing
from processes import running
from replicas import replayed
from servers import Database, require_real, shop_server, until

from pgtv.cluster.server import Server
from pgtv.rows import barrier, transaction
from pgtv.rows.bring import bring
from pgtv.rows.merge import Pace
from pgtv.rows.throttle import Limits, Throttle, held_up

DRIFT = "UPDATE public.tv_customer SET data = '{}' WHERE pk_customer IN (1, 2)"
RIGHT = "SELECT count(*) FROM public.tv_customer WHERE pk_customer IN (1, 2) AND data <> '{}'"
WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


def test_who_waited_for_a_batch_goes_before_the_next(
    shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer waits for a row of the first batch: the second begins when its transaction is over."""
    shop = shop18
    shop.sql(DRIFT)
    happened: list[str] = []
    slow = shop.connect(autocommit=False)
    writing = threading.Thread(
        target=slow.execute,
        args=("UPDATE public.tb_customer SET name = 'waited' WHERE pk_customer = 1",),
        daemon=True,
    )

    def looked(connection: psycopg.Connection[Any], pid: int) -> tuple[str, ...]:
        if not happened:
            writing.start()
            until(lambda: shop.sql(WAITING) == "1\n")
        found = held_up(connection, pid)
        happened.append(f"batch, {len(found)} wait")
        return found

    def paused(_: float) -> None:
        if slow.closed:
            return
        writing.join(30)
        happened.append(f"paused, {shop.sql(RIGHT).strip()} right")
        slow.commit()
        slow.close()

    monkeypatch.setattr(transaction, "held_up", looked)
    snapshot = shop.snapshot()
    tview = snapshot.tview_by_entity["customer"]
    between = Throttle(Limits(), [tview.table_oid], pause=paused)
    pace = Pace(batch=1, barrier_timeout=20, between=between)
    bring(shop.target(), snapshot, [tview], apply=True, pace=pace)
    assert happened[:3] == ["batch, 1 wait", "paused, 1 right", "batch, 0 wait"]
    assert not differing(shop)


def test_a_short_bound_on_barriers_is_short(
    shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    wait = barrier._wait_for

    def noted(
        connection: psycopg.Connection[Any], transactions: set[str], timeout: float, *how: Any
    ) -> dict[str, str | None]:
        waited.append(timeout)
        return wait(connection, transactions, timeout, *how)

    monkeypatch.setattr(barrier, "_wait_for", noted)
    snapshot = shop18.snapshot()
    tview = snapshot.tview_by_entity["category"]
    with shop18.connect(autocommit=False) as writer:
        writer.execute("UPDATE public.tb_category SET name = 'x' WHERE pk_category = 1")
        pace = Pace(barrier_timeout=0.1)
        [brought] = bring(shop18.target(), snapshot, [tview], apply=True, pace=pace)
    assert waited
    assert max(waited) <= 0.1
    assert brought.reason
    assert "did not end within 0.1 s" in brought.reason


@pytest.mark.parametrize(
    "command", [("repair", "rows", "--verify"), ("triggers", "enable"), ("2pc", "rollback", "g")]
)
def test_whatever_brings_rows_can_be_paused(
    shop18: Database, tmp_path: Path, command: tuple[str, ...]
) -> None:
    shop = shop18
    if command[0] == "triggers":
        assert shop.pgtv("init", "--apply").returncode == 0
        lease = ("--for", "15m", "--reason", "load", "--apply")
        assert shop.pgtv("triggers", "disable", "tv_customer", *lease).returncode == 0
    if command[0] == "2pc":
        with shop.connect(autocommit=False) as connection:
            connection.execute("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 7")
            connection.execute("PREPARE TRANSACTION 'g'")
    shop.sql(DRIFT)
    control = tmp_path / "control"
    control.write_text("pause\n")
    with running(
        [sys.executable, "-m", "pgtv", *command, "--apply", "--control", str(control)],
        env=shop.server.env(shop.name), cwd=tmp_path,
    ) as run:  # fmt: skip
        assert run.stderr
        assert any(line == "paused\n" for line in run.stderr)
        assert shop.sql(RIGHT) == "0\n"
        control.write_text("")
        assert run.wait(150) == 0, run.stderr.read()
    assert shop.sql(RIGHT) == "2\n"


SESSIONS = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'pgtv'"""


@pytest.mark.parametrize(
    "command", [("refresh",), ("repair", "rows", "--verify"), ("triggers", "enable")], ids=" ".join
)
def test_jobs_are_sessions(shop18: Database, tmp_path: Path, command: tuple[str, ...]) -> None:
    shop = shop18
    if command[0] == "triggers":
        assert shop.pgtv("init", "--apply").returncode == 0
        lease = ("--for", "15m", "--reason", "load", "--apply")
        assert shop.pgtv("triggers", "disable", *lease).returncode == 0
    shop.sql(DRIFT)
    control = tmp_path / "control"
    control.write_text("pause\n")
    with running(
        [sys.executable, "-m", "pgtv", *command, "--apply", "--jobs", "3",
         "--control", str(control)],
        env=shop.server.env(shop.name), cwd=tmp_path,
    ) as run:  # fmt: skip
        assert run.stderr
        assert any(line == "paused\n" for line in run.stderr)
        assert shop.sql(SESSIONS) == "5\n", "whose turn it is, three that write, one that asks"
        control.write_text("")
        assert run.wait(150) == 0, run.stderr.read()
    assert not differing(shop)
    done = shop.pgtv(*command, "--strategy", "rebuild", "--jobs", "3")
    assert done.returncode == 3 and "leave out --jobs" in done.stderr


def test_lag_is_seen_by_a_login_that_writes_as_somebody_else(shop18: Database) -> None:
    """The owner may not see the lag of standbys, the login may."""
    role = f"pacer_{shop18.name}"
    shop18.sql(f"CREATE ROLE {role} LOGIN; GRANT pg_monitor, shop_owner TO {role}; {DRIFT}")
    done = shop18.pgtv("refresh", "tv_customer", "--apply", "--max-lag", "5", user=role)
    assert "tv_customer  2 rows differed: 0 inserted, 2 changed" in done.stdout, done.stderr
    shop18.sql(f"DROP ROLE {role}")


MANY = "UPDATE public.tv_customer SET data = '{}' WHERE pk_customer <= 40"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    with shop_server(require_real(18)) as server, server.standby() as standby:
        yield server, standby


@pytest.fixture
def followed(pair: tuple[Server, Server]) -> tuple[Database, Server]:
    """A shop of its own, and a standby that streams and has all of it."""
    server, standby = pair
    if standby.process is None:
        standby.start()
    shop = Database(server, "shop_template")
    until(lambda: replayed(shop, Database(standby, shop.name)))
    return shop, standby


@contextmanager
def held_by_lag(shop: Database, standby: Server) -> Iterator[subprocess.Popen[str]]:
    """A merge that waits for a standby whose replay is paused."""
    standby.psql("SELECT pg_wal_replay_pause()")
    shop.sql(MANY)
    with running(
        [sys.executable, "-m", "pgtv", "refresh", "tv_customer", "--apply", "--batch", "1",
         "--max-rate", "20", "--max-lag", "0.5"],
        env=shop.server.env(shop.name), cwd=shop.folder,
    ) as run:  # fmt: skip
        assert run.stderr
        said = re.compile(r"waiting: the standby walreceiver lags [\d.]+ s behind\n")
        assert any(said.fullmatch(line) for line in run.stderr)
        assert run.poll() is None and differing(shop), "it waits, with rows left to do"
        yield run


def test_a_standby_that_lags_is_waited_for(followed: tuple[Database, Server]) -> None:
    """It was level when its replay was paused: then the server itself tells no lag in seconds."""
    shop, standby = followed
    with held_by_lag(shop, standby) as run:
        standby.psql("SELECT pg_wal_replay_resume()")
        assert run.wait(150) == 0
    assert not differing(shop)


def test_a_standby_that_is_gone_is_not_waited_for_and_that_is_said(
    followed: tuple[Database, Server],
) -> None:
    shop, standby = followed
    with held_by_lag(shop, standby) as run:
        standby.stop()
        assert run.stderr
        assert "the standby walreceiver is gone: its lag is not known\n" in run.stderr
        assert run.wait(150) == 0
    assert not differing(shop)
    shop.sql(DRIFT)
    done = shop.pgtv("refresh", "--apply", "--max-lag", "0.5")
    assert done.returncode == 0
    assert "no standby is connected: --max-lag holds nothing back" in done.stderr
