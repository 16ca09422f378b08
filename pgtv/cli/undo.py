"""`pgtv repair --undo RECEIPT`: takes back what a receipt says was done, last first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.receipts import applied, receipt_file
from pgtv.errors import Exit, NotPossible
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.plan import Plan, Receipt


def undo(target: Target, receipt: Path, path: Path | None, apply_: bool) -> int:
    """Show or apply it; what cannot be taken back, or by another command, is said."""
    from pgtv import plan as plans
    from pgtv.applying import acting_session
    from pgtv.catalog.collect import collect
    from pgtv.repairs.tested import may_write

    plan = taking_back(plans.load_receipt(receipt))
    if not apply_:
        click.echo(plans.script(plan), nl=False)
    elif plan.steps:
        with acting_session(target) as connection:
            snapshot = collect(connection)
            if not snapshot.server.is_database(plan.system_identifier, plan.database_oid):
                raise NotPossible(
                    f"the receipt is of another database: {plan.database}",
                    "connect to that one, on the server where it was applied",
                )
            may_write(snapshot.extension)
            applied(connection, target, plan, receipt_file(path, plan))
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
