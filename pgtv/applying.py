"""Applies a plan: one applier at a time, each statement shown before it runs, retried where that is safe.

A receipt is written before the first statement and after each, so that a run that dies at any point
leaves a record. Nothing here decides what to do: see pgtv.repairs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv import plan as plans
from pgtv.errors import NotPossible, PgtvError, QueryError
from pgtv.plan import Done, Plan, Receipt

if TYPE_CHECKING:
    import psycopg

RETRIED = ("40001", "40P01", "55P03")  # serialization, deadlock, lock_timeout: nothing was done
ATTEMPTS = 6
FIRST_PAUSE = 0.1  # seconds; doubled after each attempt, with jitter
# "pgtv" as a number: the advisory lock of whoever applies, per database
APPLIER_LOCK = 0x70677476


def apply(
    connection: psycopg.Connection[Any],
    plan: Plan,
    receipt_path: Path,
    show: Callable[[str], None],
    *,
    lock_timeout: str = "2s",
    statement_timeout: str = "0",
    pause: Callable[[float], None] = time.sleep,
) -> Receipt:
    """Run every step in order; stops at the first statement that fails for good.

    connection: a writing session in autocommit. show: called with each statement before it runs.
    Raises NotPossible when another applier is at work or the server is read-only, QueryError for
    the failing statement (the receipt has it too).
    """
    _take_turn(connection)
    receipt = Receipt(plan, _now(), connection.info.user, "pgtv")
    plans.write(receipt, receipt_path)
    try:
        _set(connection, "lock_timeout", lock_timeout)
        _set(connection, "statement_timeout", statement_timeout)
        for number, step in enumerate(plan.steps, 1):
            show(f"-- {number}. {step.title}")
            for unit in plans.units(step.statements):
                _run_unit(connection, number, unit, receipt, receipt_path, show, pause)
        receipt.outcome = "complete"
    except KeyboardInterrupt:
        receipt.outcome = "interrupted"
        raise
    except PgtvError:
        receipt.outcome = "failed"
        raise
    finally:
        receipt.finished_at = _now()
        plans.write(receipt, receipt_path)
    return receipt


def _take_turn(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(
        "SELECT pg_catalog.pg_is_in_recovery(), CASE WHEN pg_catalog.pg_is_in_recovery() THEN true"
        " ELSE pg_catalog.pg_try_advisory_lock(%s) END",
        (APPLIER_LOCK,),
    ).fetchone()
    assert row is not None
    if row[0]:
        raise NotPossible("this server is a standby", "apply it on the primary")
    if not row[1]:
        raise NotPossible(
            "another pgtv is applying something to this database",
            "wait for it, or find it: SELECT pid, state, query FROM pg_stat_activity"
            " WHERE application_name = 'pgtv';",
        )


def _set(connection: psycopg.Connection[Any], name: str, value: str) -> None:
    connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))


def _run_unit(
    connection: psycopg.Connection[Any],
    step: int,
    unit: tuple[str, ...],
    receipt: Receipt,
    receipt_path: Path,
    show: Callable[[str], None],
    pause: Callable[[float], None],
) -> None:
    import psycopg

    from pgtv.session import translate

    for statement in unit:
        show(statement)
    at, started = _now(), time.monotonic()

    def record(outcome: str, attempts: int, error: str | None = None) -> None:
        took = round((time.monotonic() - started) * 1000, 1)
        receipt.done.append(Done(step, "\n".join(unit), at, took, attempts, outcome, error))
        plans.write(receipt, receipt_path)

    for attempt in range(1, ATTEMPTS + 1):
        try:
            for statement in unit:
                connection.execute(statement.encode())
            record("done", attempt)
            return
        except KeyboardInterrupt:
            connection.cancel_safe(timeout=3)
            record("interrupted", attempt)
            raise
        except psycopg.Error as e:
            if connection.closed:
                record("failed", attempt, "connection lost")
                raise translate(e) from None
            if len(unit) > 1:
                connection.execute("ROLLBACK")
            if e.sqlstate not in RETRIED or attempt == ATTEMPTS:
                translated = translate(e)
                record("failed", attempt, translated.message)
                raise QueryError(
                    f"step {step} stopped: {translated.message}", translated.hint, e.sqlstate
                ) from None
            wait = FIRST_PAUSE * 2 ** (attempt - 1) * (1 + random.random() / 2)  # noqa: S311
            show(f"-- {e.sqlstate}: again in {wait * 1000:.0f} ms")
            pause(wait)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
