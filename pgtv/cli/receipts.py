"""Plans that are applied, and where their receipts go: the file that was named, else a new one in the
current directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import psycopg

    from pgtv.applying import Rows
    from pgtv.plan import Plan, Receipt
    from pgtv.session import Target


def applied(
    acting: psycopg.Connection[Any],
    target: Target,
    plan: Plan,
    where: Path,
    rows: Rows | None = None,
) -> Receipt:
    """Apply a plan as a command does: its receipt named first, then each statement as it runs."""
    from pgtv.applying import apply
    from pgtv.cli.options import look

    click.echo(f"receipt: {where}", err=True)
    return apply(
        acting, plan, where, click.echo, lock_timeout=target.lock_timeout,
        statement_timeout=target.statement_timeout, rows=rows,
        look=lambda: look(target, None),
    )  # fmt: skip


def receipt_file(given: Path | None, plan: Plan, turn: int = 0) -> Path:
    """The receipt of round `turn` of one run: later rounds are numbered beside the first."""
    if given is not None:
        return given.with_name(f"{given.stem}-{turn + 1}{given.suffix}") if turn else given
    return new_receipt(plan.made_at)


def new_receipt(made_at: str) -> Path:
    """A file that is not there yet, named by a time as plans and receipts have it."""
    stamp = made_at.replace(":", "").replace("-", "")[:15]
    folder = Path.cwd()
    n = 0
    while (found := folder / f"pgtv-receipt-{stamp}-{n}.json").exists():
        n += 1
    return found
