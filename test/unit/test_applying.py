"""Applying without a server: what is tried again, how often, after which pause, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from pgtv import session
from pgtv.applying import apply
from pgtv.errors import Exit, QueryError
from pgtv.plan import Plan, Step

SERIALIZATION, DEADLOCK = psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected
LOCKED = psycopg.errors.LockNotAvailable
# what an operator meets that trying again would only repeat
FINAL = (
    psycopg.errors.QueryCanceled, psycopg.errors.DiskFull, psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UniqueViolation, psycopg.errors.CardinalityViolation,
)  # fmt: skip


class Failing:
    """An action that fails so many times in the same way, and then succeeds."""

    def __init__(self, error: type[psycopg.Error], times: int) -> None:
        self.error, self.left, self.calls = error, times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error("said by the server")
        return "done"


def retried(action: Failing) -> tuple[str | None, list[tuple[str, float]], list[float]]:
    """(what it gave or the SQLSTATE that it ended with, what was told, how long was waited)."""
    told: list[tuple[str, float]] = []
    waited: list[float] = []
    try:
        return session.retrying(action, told.append, waited.append), told, waited
    except psycopg.Error as e:
        return e.sqlstate, told, waited


@pytest.mark.parametrize("error", [SERIALIZATION, DEADLOCK, LOCKED])
@pytest.mark.parametrize("times", [0, 1, session.ATTEMPTS - 1])
def test_what_others_caused_is_tried_again(error: type[psycopg.Error], times: int) -> None:
    ended, told, waited = retried(Failing(error, times))
    assert ended == "done"
    assert [state for state, _ in told] == [error.sqlstate] * times
    assert [wait for _, wait in told] == waited


@pytest.mark.parametrize("error", [SERIALIZATION, DEADLOCK, LOCKED])
def test_attempts_are_bounded_and_pauses_grow(error: type[psycopg.Error]) -> None:
    action = Failing(error, 100)
    ended, _, waited = retried(action)
    assert (ended, action.calls) == (error.sqlstate, session.ATTEMPTS)
    assert len(waited) == session.ATTEMPTS - 1, "nothing is waited for after the last one"
    for n, wait in enumerate(waited):  # doubled each time, with up to half as much again
        assert 0.1 * 2**n <= wait <= 0.15 * 2**n
    assert waited == sorted(waited)


@pytest.mark.parametrize("error", FINAL, ids=lambda e: e.sqlstate)
def test_anything_else_is_not_tried_again(error: type[psycopg.Error]) -> None:
    action = Failing(error, 1)
    ended, told, waited = retried(action)
    assert (ended, action.calls) == (error.sqlstate, 1)
    assert told == [] and waited == []


class Server:
    """A connection whose statements that begin with `fails` do so many times; it keeps what was run."""

    closed = False
    info = SimpleNamespace(user="login")

    def __init__(self, fails: str, error: type[psycopg.Error], times: int) -> None:
        self.fails, self.error, self.left = fails, error, times
        self.ran: list[str] = []

    def execute(self, statement: Any, *_: Any) -> Server:
        text = statement.decode() if isinstance(statement, bytes) else str(statement)
        if "set_config" in text or "advisory" in text:
            return self
        self.ran.append(text)
        if text.startswith(self.fails) and self.left:
            self.left -= 1
            raise self.error("said by the server")
        return self

    def fetchone(self) -> tuple[bool, bool]:
        return False, True  # a primary, and nobody else applies


UNIT = ("BEGIN;", "ALTER TABLE t ENABLE TRIGGER a;", "COMMIT;")


def applied(
    server: Server, folder: Path, statements: tuple[str, ...] = UNIT
) -> tuple[QueryError | None, dict[str, Any], list[str], list[float]]:
    """(what stopped it, the receipt, what was shown, how long was waited)."""
    plan = Plan("now", "0", "d", 1, None, "current", (Step("triggers", "enable", statements),))
    shown: list[str] = []
    waited: list[float] = []
    stopped = None
    try:
        apply(server, plan, folder / "r.json", shown.append, pause=waited.append)  # type: ignore[arg-type]
    except QueryError as e:
        stopped = e
    return stopped, json.loads((folder / "r.json").read_text()), shown, waited


@pytest.mark.parametrize("error", [SERIALIZATION, DEADLOCK], ids=lambda e: e.sqlstate)
def test_a_unit_is_rolled_back_and_repeated_whole(
    tmp_path: Path, error: type[psycopg.Error]
) -> None:
    server = Server("ALTER", error, 2)
    stopped, receipt, shown, waited = applied(server, tmp_path)
    assert stopped is None
    once = [*UNIT[:2], "ROLLBACK"]
    assert server.ran == [*once, *once, *UNIT]
    assert (receipt["outcome"], receipt["by"]) == ("complete", "login")
    [done] = receipt["done"]
    assert (done["attempts"], done["outcome"]) == (3, "done")
    assert len(waited) == 2 and waited[0] < waited[1]
    assert [s for s in shown if "again in" in s] == [
        f"-- {error.sqlstate}: again in {w * 1000:.0f} ms" for w in waited
    ]
    for statement in UNIT:
        assert shown.count(statement) == 1, "each statement is shown, before it runs"


def test_a_commit_that_fails_is_repeated_with_its_transaction(tmp_path: Path) -> None:
    server = Server("COMMIT", SERIALIZATION, 1)
    stopped, _, _, _ = applied(server, tmp_path)
    assert stopped is None
    assert server.ran == [*UNIT, "ROLLBACK", *UNIT]


def test_it_gives_up_in_the_end_and_says_what_to_do(tmp_path: Path) -> None:
    server = Server("ALTER", DEADLOCK, 100)
    stopped, receipt, _, waited = applied(server, tmp_path)
    assert stopped and (stopped.sqlstate, stopped.exit_code) == ("40P01", Exit.UNKNOWN)
    assert stopped.hint == "run it again"
    assert len(waited) == session.ATTEMPTS - 1
    assert server.ran[-1] == "ROLLBACK", "nothing is left open"
    assert receipt["outcome"] == "failed"
    assert receipt["done"][-1]["attempts"] == session.ATTEMPTS


@pytest.mark.parametrize("error", FINAL, ids=lambda e: e.sqlstate)
def test_any_other_error_stops_it_at_once(tmp_path: Path, error: type[psycopg.Error]) -> None:
    server = Server("ALTER", error, 1)
    stopped, receipt, _, waited = applied(server, tmp_path, (*UNIT, "ANALYZE t;"))
    assert stopped and stopped.sqlstate == error.sqlstate and stopped.hint
    assert waited == []
    assert server.ran == [*UNIT[:2], "ROLLBACK"], "what comes after is not run"
    assert (receipt["outcome"], receipt["done"][-1]["attempts"]) == ("failed", 1)
    assert error.sqlstate in receipt["done"][-1]["error"]


def test_a_full_disk_of_the_server_is_told_as_such() -> None:
    told = session.translate(psycopg.errors.DiskFull("could not extend file: No space left"))
    assert "53100" in told.message
    assert told.hint and "make room" in told.hint
