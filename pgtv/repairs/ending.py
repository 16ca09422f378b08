"""What ending prepared transactions was to do, did and left: pure data, shown, saved and read by people.

See pgtv.resolving for what acts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from pgtv import __version__
from pgtv.errors import Exit
from pgtv.person import account
from pgtv.repairs.twophase import Left, Transaction
from pgtv.rows.written import TouchedTview

ENDED = {"commit": "committed", "rollback": "rolled back"}
SCHEMA = "pgtv.2pc-receipt/1"


class Outcome(StrEnum):
    """How it went for one transaction."""

    PLANNED = "planned"
    UNDER_WAY = "under way"  # a receipt that ends so was written by a process that died
    DONE = "done"
    GONE = "gone"  # somebody else ended it first
    FAILED = "failed"


@dataclass
class Ending:
    """One transaction that is ended. ended: how it did, where that is known.

    dead_letter: the record's id in pgtv.dead_letter, or no_dead_letter why there is none.
    """

    action: str  # commit | rollback
    statement: str
    transaction: Transaction
    outcome: Outcome = Outcome.PLANNED
    ended: str | None = None
    at: str | None = None
    milliseconds: float | None = None
    role: str | None = None
    error: str | None = None
    hint: str | None = None
    dead_letter: int | None = None
    no_dead_letter: str | None = None


@dataclass
class Owed:
    """A TVIEW whose rows, with those of what reads it, are not known to be right after an ending.

    noted: the database says so as well, until they are (see pgtv.checks.rows_owed). why: why it does
    not, or why the note stays.
    """

    database: str
    tview: str
    noted: bool = False
    why: str | None = None


@dataclass
class Receipt:
    """What a run of `pgtv 2pc commit|rollback|cleanup` was to do, did and left.

    rows: what was done to TVIEWs afterwards, with keys and old values, as a receipt of refresh has it.
    owed: written before the first statement, empty once all rows are right; what a run that died left
    here, `pgtv repair --apply` brings.
    """

    action: str
    applied: bool
    started_at: str
    by: str
    system_identifier: str | None
    endings: list[Ending]
    left: list[Left] = field(default_factory=list)
    rows: list[TouchedTview] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)
    finished_at: str | None = None
    outcome: str = "planned"  # planned | running | complete | failed | interrupted
    pgtv_version: str = __version__
    started_from: str = field(default_factory=account)  # user@host that ran pgtv
    schema: str = SCHEMA


def dumps(receipt: Receipt) -> str:
    """The file's text."""
    return json.dumps(asdict(receipt), ensure_ascii=False, indent=2) + "\n"


def plan(
    action: str,
    transactions: Iterable[Transaction],
    *,
    by: str,
    system_identifier: str | None,
    left: Iterable[Left] = (),
) -> Receipt:
    """What is to be done, oldest first; `by` is the login."""
    endings = [
        Ending(action, t.commit if action == "commit" else t.rollback, t) for t in transactions
    ]
    return Receipt(action, False, now(), by, system_identifier, endings, list(left))


def exit_code(receipt: Receipt) -> Exit:
    """Unknown where one could not be looked into, not be ended or its rows not be brought; a warning
    where somebody else ended one the other way, or nobody knows how, and where rows stay owed."""
    if any(r["end"] == "unsettled" for r in receipt.rows):
        return Exit.CRITICAL
    failed = any(e.outcome is Outcome.FAILED for e in receipt.endings)
    if (
        failed
        or any(r["end"] in ("unknown", "differs") for r in receipt.rows)
        or any(x.unseen for x in receipt.left)
    ):
        return Exit.UNKNOWN
    other = any(e.outcome is Outcome.GONE and e.ended != ENDED[e.action] for e in receipt.endings)
    return Exit.WARNING if other or (receipt.applied and receipt.owed) else Exit.HEALTHY


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
