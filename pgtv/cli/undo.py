"""`pgtv repair --undo RECEIPT`: takes back what a receipt says was done, last first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import connected
from pgtv.cli.receipts import receipt_file
from pgtv.errors import Exit, NotPossible
from pgtv.session import Target

if TYPE_CHECKING:
    import psycopg

    from pgtv.plan import Plan, Receipt


def undo(target: Target, receipt: Path, path: Path | None, apply_: bool) -> int:
    """Show or apply it; what cannot be taken back, or by another command, is said."""
    from pgtv import plan as plans
    from pgtv.applying import apply

    plan = taking_back(plans.load_receipt(receipt))
    if not apply_:
        click.echo(plans.script(plan), nl=False)
    elif plan.steps:
        with connected(target, read_only=False) as connection:
            _same_database(connection, plan)
            where = receipt_file(path, plan)
            click.echo(f"receipt: {where}", err=True)
            apply(connection, plan, where, click.echo, lock_timeout=target.lock_timeout)
    for one in plan.left:
        click.echo(f"left alone: {one.finding}: {one.why}", err=True)
    return Exit.WARNING if plan.left else Exit.HEALTHY


def taking_back(receipt: Receipt) -> Plan:
    """A plan of the undo statements of the steps that were done, last first."""
    from pgtv.plan import Left

    done = sorted({d.step for d in receipt.done if d.outcome == "done"}, reverse=True)
    steps, left = [], []
    for number in done:
        step = receipt.plan.steps[number - 1]
        if step.undo is None:
            instead = step.command and not step.merge
            why = f"taken back by: {step.command}" if instead else "it cannot be taken back"
            left.append(Left(step.title, why))
            continue
        steps.append(
            replace(
                step, title=f"Take back: {step.title}", statements=step.undo,
                undo=step.statements, cures=(), note=None,
            )
        )  # fmt: skip
    return replace(receipt.plan, steps=tuple(steps), left=tuple(left))


def _same_database(connection: psycopg.Connection[Any], plan: Plan) -> None:
    row = connection.execute(
        "SELECT current_database()::text, (SELECT oid::int8 FROM pg_catalog.pg_database"
        " WHERE datname = current_database())"
    ).fetchone()
    if row != (plan.database, plan.database_oid):
        raise NotPossible(
            f"the receipt is of database {plan.database}, this is {row[0] if row else '?'}"
        )
