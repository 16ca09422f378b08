"""`pgtv repair --undo RECEIPT`: takes back what a receipt says was done, last first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import look
from pgtv.cli.receipts import applied, receipt_file, show
from pgtv.errors import Exit, NotPossible, QueryError
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot
    from pgtv.plan import Plan, Receipt

# What an undo statement says of an object that somebody has dropped or renamed.
_GONE = ("3D000", "3F000", "42P01", "42703", "42704", "42883")
_OTHERS = {
    "pgtv.refresh/1": (
        "brought rows up to date: what was overwritten was wrong, and is not put back",
        "the old values are in it, at tviews[].overwritten, and of a run that was killed in the lines of "
        "{0}.batches; to compare rows with their definitions: pgtv verify",
    ),
    "pgtv.2pc-receipt/1": (
        "ended prepared transactions, which is final, and brought rows that were wrong",
        "what was touched is in it, at endings[].transaction, and where pgtv init was run in the table "
        "pgtv.dead_letter; to compare rows with their definitions: pgtv verify",
    ),
}


def undo(target: Target, receipt: Path, path: Path | None, apply_: bool) -> int:
    """Show or apply it; what cannot be taken back, or by another command, is said.

    Afterwards it looks again: the exit code is the worst of the findings that are there again.
    """
    from pgtv import plan as plans
    from pgtv.repairs import taking_back

    _takes(receipt)
    done = plans.load_receipt(receipt)
    plan = taking_back.plan_of(done)
    code = Exit.HEALTHY
    if not apply_:
        show(plan)
    elif plan.steps:
        code = _apply(target, receipt, done, plan, path)
    for one in plan.left:
        click.echo(f"left alone: {one.finding}: {one.why}", err=True)
    return max(code, Exit.WARNING if plan.left else Exit.HEALTHY, key=_RANK.index)


_RANK = [Exit.HEALTHY, Exit.WARNING, Exit.UNKNOWN, Exit.CRITICAL]


def _takes(receipt: Path) -> None:
    """Raises NotPossible for a receipt of what is not taken back."""
    try:
        raw = json.loads(receipt.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return  # told where it is read as what it should be
    if isinstance(raw, dict) and (said := _OTHERS.get(str(raw.get("schema")))):
        raise NotPossible(f"{receipt} is of a run that {said[0]}", said[1].format(receipt))


def _apply(target: Target, file: Path, receipt: Receipt, plan: Plan, path: Path | None) -> Exit:
    from pgtv.applying import acting_session
    from pgtv.catalog.collect import collect
    from pgtv.repairs import taking_back
    from pgtv.repairs.tested import may_write

    by_hand = f"the statements, to choose from: pgtv repair --undo {file}"
    with acting_session(target) as connection:
        snapshot = collect(connection)
        if not snapshot.server.is_database(plan.system_identifier, plan.database_oid):
            raise NotPossible(
                f"the receipt is of another database: {plan.database}",
                "connect to that one, on the server where it was applied",
            )
        may_write(snapshot.extension)
        if different := taking_back.moved(receipt.objects or (), snapshot):
            raise NotPossible(
                "the database is not as this run left it, nothing was taken back:\n  "
                + "\n  ".join(different),
                by_hand,
            )
        try:
            applied(connection, target, plan, receipt_file(path, plan))
        except QueryError as e:
            if e.sqlstate not in _GONE:
                raise
            raise QueryError(
                e.message,
                f"the database is not as this run left it; what was taken back so far stays so; {by_hand}",
                e.sqlstate,
            ) from None
        # in a session of its own: what is set for new ones reaches none that is there
        return _looked(receipt, look(target, None))


def _looked(receipt: Receipt, now: Snapshot) -> Exit:
    """Say which findings are there again, and what is not as it was before the cure."""
    from pgtv.checks.examine import examine
    from pgtv.checks.registry import all_checks
    from pgtv.finding import Severity
    from pgtv.repairs import taking_back

    codes = [Exit.HEALTHY]
    for text in taking_back.moved(receipt.objects or (), now, back=True):
        click.echo(f"not as before the cure: {text}", err=True)
        codes.append(Exit.CRITICAL)
    cured = taking_back.cured(receipt)
    of = {Severity.CRITICAL: Exit.CRITICAL, Severity.WARNING: Exit.WARNING,
          Severity.UNKNOWN: Exit.UNKNOWN}  # fmt: skip
    for finding in examine(now, all_checks().values()).findings:
        if finding.id in cured:
            click.echo(f"there again: {finding.id}", err=True)
            codes.append(of.get(finding.severity, Exit.HEALTHY))
    click.echo("checked again: taken back", err=True)
    return max(codes, key=_RANK.index)
