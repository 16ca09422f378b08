"""Applies a plan: one applier at a time, each statement shown before it runs, retried where that is safe.

A receipt is written before the first statement and after each, so that a run that dies at any point
leaves a record; while rows are merged, what ended since is beside it (see pgtv.saving). Nothing here
decides what to do: see pgtv.repairs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv import __version__
from pgtv import plan as plans
from pgtv.errors import NotPossible, PgtvError, QueryError, UsageError
from pgtv.journal import Batches, Journal
from pgtv.person import account
from pgtv.plan import Done, Plan, Receipt, Step
from pgtv.rows.written import RefreshedTview
from pgtv.saving import Saving, Texts

if TYPE_CHECKING:
    import psycopg

    from pgtv.catalog.model import Snapshot
    from pgtv.session import Target

# "pgtv" as a number: the advisory lock of whoever applies, per database
APPLIER_LOCK = 0x70677476


@dataclass(frozen=True)
class Keep:
    """Tells the receipt what a merge writes: called with each TVIEW as it ends; batch: with each batch
    that was committed until then."""

    tview: Callable[[RefreshedTview], None]
    batch: Batches

    def __call__(self, one: RefreshedTview) -> None:
        self.tview(one)


Rows = Callable[[Step, Keep], str]


@dataclass(frozen=True)
class Rebuilt:
    """What is known of the TVIEWs that a step rebuilds by the extension's own refresh: while it does, and
    by comparing them afterwards."""

    begun: Callable[[Step], list[RefreshedTview]]
    compared: Callable[[Step], list[RefreshedTview]]


GOES_ON = "what was done so far stays done, and the next run goes on from there"


def apply(
    connection: psycopg.Connection[Any],
    plan: Plan,
    receipt_path: Path,
    show: Callable[[str], None],
    *,
    lock_timeout: str = "2s",
    statement_timeout: str = "0",
    rows: Rows | None = None,
    look: Callable[[], Snapshot] | None = None,
    rebuilt: Rebuilt | None = None,
    after: Callable[[Step], None] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Receipt:
    """Run every step in order; stops at the first statement that fails for good.

    connection: an acting_session. show: called with each statement before it runs.
    rows: does the steps that are merges (they have no statements) and says what it did; tells the
    receipt of each TVIEW as it ends. look: what there is, for what the receipt says of the objects that
    can be put back. rebuilt: looks at what the steps brought that have the extension's own refresh.
    after: told of each step that is done; what it raises ends the run.
    Raises QueryError for the failing statement (the receipt has it too).
    """
    receipt = Receipt(
        plan, _now(), connection.info.user, "pgtv", started_from=account(), pgtv_version=__version__
    )
    texts = Texts()
    plans.write(receipt, receipt_path, texts)
    before = look() if look and any(s.undo for s in plan.steps) else None
    journal = Journal(receipt_path)
    saving = Saving(lambda: _keep(receipt, receipt_path, texts), journal)
    try:
        _set(connection, "lock_timeout", lock_timeout)
        _set(connection, "statement_timeout", statement_timeout)
        for number, step in enumerate(plan.steps, 1):
            show(f"-- {number}. {step.title}")
            if step.merge:
                _merge(number, step, receipt, saving, journal, rows)
            with _rebuilding(step, receipt, saving, rebuilt):
                for unit in plans.units(step.statements):
                    _run_unit(connection, number, unit, receipt, saving, show, pause)
            if after:
                after(step)
    except (KeyboardInterrupt, PgtvError) as e:
        receipt.outcome = "interrupted" if isinstance(e, KeyboardInterrupt) else "failed"
        receipt.finished_at = _now()
        with contextlib.suppress(PgtvError):  # what stopped it is what has to be told
            _note(receipt, before, look)
        with contextlib.suppress(PgtvError):
            saving.now()
        raise
    finally:
        if kept := journal.close():
            show(f"-- what the receipt lacks of what was overwritten: {kept}")
    receipt.outcome, receipt.finished_at = "complete", _now()
    _note(receipt, before, look)
    saving.now()
    return receipt


def _note(receipt: Receipt, before: Snapshot | None, look: Callable[[], Snapshot] | None) -> None:
    """What the steps that were done left of what their undo statements name."""
    from pgtv.repairs.taking_back import noted

    if before and look:
        done = {d.step for d in receipt.done if d.outcome == "done"}
        receipt.objects = noted(before, look(), [receipt.plan.steps[n - 1] for n in done])


def _keep(receipt: Receipt, path: Path, texts: Texts) -> None:
    """Write it once more. Raises UsageError where there is no room for it any more."""
    try:
        plans.write(receipt, path, texts)
    except UsageError as e:
        raise UsageError(
            e.message,
            f"{GOES_ON}: make room, or name another place with --receipt",
        ) from None


@contextlib.contextmanager
def acting_session(target: Target) -> Iterator[psycopg.Connection[Any]]:
    """A session that may write, of the one who acts on this database; to be had before the look that
    decides what is done, and until its end. Sessions beside it, which merge, share its turn. What ends
    the process from outside is an interruption meanwhile.

    Raises ConnectError, and NotPossible on a standby, behind a pooler, and while another one acts.
    """
    from pgtv.session import connected
    from pgtv.signals import as_interruption

    with as_interruption(), connected(target, read_only=False) as connection:
        _take_turn(connection)
        yield connection


def acting_if(
    apply: bool, target: Target
) -> AbstractContextManager[psycopg.Connection[Any] | None]:
    """acting_session where something is to be applied, else nothing."""
    return acting_session(target) if apply else contextlib.nullcontext()


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


def _merge(
    number: int,
    step: Step,
    receipt: Receipt,
    saving: Saving,
    journal: Journal,
    rows: Rows | None,
) -> None:
    if rows is None:
        raise NotPossible("this plan merges rows, which is not done here", "use: pgtv repair")
    import psycopg

    from pgtv.session import translate

    at, started = _now(), time.monotonic()

    def record(outcome: str, error: str | None = None, what: str = step.title) -> None:
        took = round((time.monotonic() - started) * 1000, 1)
        receipt.done.append(Done(number, what, at, took, 1, outcome, error))
        if outcome == "done":  # else apply writes it, and says what stopped it
            saving.now()

    def keep(tview: RefreshedTview) -> None:
        receipt.rows.append(tview)
        saving.tview(tview)

    try:
        what = rows(step, Keep(keep, journal.batch))
    except KeyboardInterrupt:
        record("interrupted")
        raise
    except (PgtvError, psycopg.Error) as e:
        error = translate(e) if isinstance(e, psycopg.Error) else e
        record("failed", error.message)
        raise error from None
    record("done", what=what)


@contextlib.contextmanager
def _rebuilding(
    step: Step, receipt: Receipt, saving: Saving, rebuilt: Rebuilt | None
) -> Iterator[None]:
    """Around a step's statements: of TVIEWs that they rebuild the receipt says what is known, also where
    the run dies before it is."""
    from pgtv.catalog import dialects

    if rebuilt is None or not plans.rebuilds(step, dialects.named(receipt.plan.generation)):
        yield
        return
    before = list(receipt.rows)
    receipt.rows = before + rebuilt.begun(step)
    saving.now()
    yield
    receipt.rows = before + rebuilt.compared(step)
    saving.now()


def _run_unit(
    connection: psycopg.Connection[Any],
    step: int,
    unit: tuple[str, ...],
    receipt: Receipt,
    saving: Saving,
    show: Callable[[str], None],
    pause: Callable[[float], None],
) -> None:
    import psycopg

    from pgtv import kept
    from pgtv.session import cancel, retrying, translate

    for statement in unit:
        show(statement)
    at, started = _now(), time.monotonic()

    def record(outcome: str, attempts: int, error: str | None = None) -> None:
        took = round((time.monotonic() - started) * 1000, 1)
        receipt.done.append(Done(step, "\n".join(unit), at, took, attempts, outcome, error))
        if outcome == "done":
            saving.now()

    attempts = 1

    def once() -> None:
        try:
            kept.run(connection, unit)
        except (psycopg.Error, NotPossible):
            if len(unit) > 1 and not connection.closed:
                connection.execute("ROLLBACK")
            raise

    def again(why: tuple[str, float]) -> None:
        nonlocal attempts
        attempts += 1
        show(f"-- {why[0]}: again in {why[1] * 1000:.0f} ms")

    try:
        retrying(once, again, pause)
    except KeyboardInterrupt:
        cancel(connection)
        record("interrupted", attempts)
        raise
    except NotPossible as e:
        record("failed", attempts, e.message)
        raise
    except psycopg.Error as e:
        translated = translate(e)
        record("failed", attempts, translated.message)
        raise QueryError(
            f"step {step} stopped: {translated.message}",
            translated.hint or f"{GOES_ON}: run it again",
            e.sqlstate,
        ) from None
    record("done", attempts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
