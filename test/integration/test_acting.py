"""Whoever acts does so on the server itself, and alone in its database, from the look to the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pooler import behind_pgbouncer
from processes import running
from servers import Database, until

from pgtv.applying import APPLIER_LOCK

ACTING = {
    "repair": ("repair", "--apply"),
    "repair metadata": ("repair", "metadata", "--from", "before.json", "--apply"),
    "repair --undo": ("repair", "--undo", "receipt.json", "--apply"),
    "repair rows --report": ("repair", "rows", "--report", "report.json", "--apply"),
    "refresh": ("refresh", "tv_customer", "--apply", "--jobs", "2"),
    "refresh, rebuilt": ("refresh", "tv_customer", "--strategy", "rebuild", "--apply"),
    "triggers disable": ("triggers", "disable", "--for", "1h", "--reason", "it", "--apply"),
    "triggers enable": ("triggers", "enable", "--apply"),
    "init": ("init", "--apply"),
    "init --drop": ("init", "--drop", "--apply"),
    "upgrade detach": ("upgrade", "detach", "--snapshot", "detached.json", "--apply"),
    "upgrade attach": ("upgrade", "attach", "--from", "before.json", "--apply"),
}
ALL = pytest.mark.parametrize("args", ACTING.values(), ids=ACTING.keys())
WRONG = """
SET session_replication_role = replica;
UPDATE tb_customer SET name = 'missed' WHERE pk_customer = 3;
"""


@pytest.fixture
def wrong(shop18: Database) -> Database:
    """One row is wrong, and there is all that the commands read."""
    assert shop18.pgtv("init", "--apply").returncode == 0
    assert shop18.pgtv("snapshot", "save", "before.json").returncode == 0
    shop18.sql(
        'ALTER TABLE tb_customer DISABLE TRIGGER "trg_tview_row_customer_on_public_tb_customer"'
    )
    done = shop18.pgtv("repair", "triggers", "--apply", "--receipt", "receipt.json")
    assert json.loads((shop18.folder / "receipt.json").read_text())["done"], done.stderr
    shop18.sql(WRONG)
    report = shop18.pgtv("verify", "--format", "json").stdout
    (shop18.folder / "report.json").write_text(report)
    return shop18


def _state(database: Database) -> tuple[object, ...]:
    """What no command may change here."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM pg_extension),"
            " (SELECT string_agg(tgname || tgenabled::text, ' ' ORDER BY oid) FROM pg_trigger),"
            " (SELECT data FROM tv_customer WHERE pk_customer = 3), to_regnamespace('pgtv'),"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
        ).fetchone()
    assert row is not None
    return row


@contextmanager
def _the_turn(database: Database) -> Iterator[None]:
    with database.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", (APPLIER_LOCK,))
        yield


@ALL
def test_one_acts_at_a_time(wrong: Database, args: tuple[str, ...]) -> None:
    with _the_turn(wrong):
        before = _state(wrong)
        done = wrong.pgtv(*args)
        assert done.returncode == 3 and "another pgtv" in done.stderr, done
        assert _state(wrong) == before
    assert not (wrong.folder / "detached.json").exists()


@ALL
def test_nobody_acts_through_a_pooler(wrong: Database, args: tuple[str, ...]) -> None:
    before = _state(wrong)
    with behind_pgbouncer(wrong) as target:
        done = wrong.pgtv(
            *args, "-h", "127.0.0.1", "-p", str(target.port), "-U", "postgres", "-d", wrong.name
        )
        assert done.returncode == 3 and "pooler" in done.stderr, done
        assert "-p 5432" in done.stderr
        assert _state(wrong) == before
    assert not (wrong.folder / "detached.json").exists()


def test_nor_probes_through_one(shop18: Database) -> None:
    with behind_pgbouncer(shop18) as target:
        done = shop18.pgtv(
            "doctor", "--probe-write", "-h", "127.0.0.1", "-p", str(target.port), "-U", "postgres",
            "-d", shop18.name,
        )  # fmt: skip
    assert done.returncode == 3 and "-p 5432" in done.stderr


def test_a_verification_is_recorded_through_a_pooler(shop18: Database) -> None:
    assert shop18.pgtv("init", "--apply").returncode == 0
    with behind_pgbouncer(shop18) as target:
        done = shop18.pgtv(
            "verify", "-h", "127.0.0.1", "-p", str(target.port), "-U", "postgres", "-d",
            shop18.name,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with shop18.connect() as connection:
        row = connection.execute("SELECT count(*) FROM pgtv.verification").fetchone()
    assert row == (9,)


def test_sessions_that_wait_for_others_are_not_idle_for_too_long(
    shop18: Database, tmp_path: Path
) -> None:
    """The one that has the turn says nothing while others merge, however long that takes."""
    shop18.sql(WRONG)
    shop18.sql(f"ALTER DATABASE {shop18.name} SET idle_session_timeout = '700ms'")
    control = tmp_path / "control"
    control.write_text("pause\n")
    idle = (
        "SELECT COALESCE(max(now() - state_change), '0') > '2s' FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pgtv' AND state = 'idle'"
    )
    command = [sys.executable, "-m", "pgtv", "repair", "rows", "--verify", "--apply"]
    with running(
        [*command, "--control", str(control)], env=shop18.server.env(shop18.name), cwd=tmp_path
    ) as run:
        assert run.stderr
        assert any(line == "paused\n" for line in run.stderr)
        until(lambda: shop18.sql(idle) == "t\n")
        control.write_text("")
        assert run.wait(150) == 0, run.stderr.read()
