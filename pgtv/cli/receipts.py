"""Plans that are applied, and where their receipts go: the file that was named, else a new one in the
current directory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import lock_limit
from pgtv.errors import Exit

if TYPE_CHECKING:
    import psycopg

    from pgtv.applying import Rows
    from pgtv.plan import Plan, Receipt, Step
    from pgtv.rows.bring import Brought
    from pgtv.rows.written import RefreshedTview
    from pgtv.session import Target


def applied(
    acting: psycopg.Connection[Any],
    target: Target,
    plan: Plan,
    where: Path,
    rows: Rows | None = None,
) -> Receipt:
    """Apply a plan as a command does: its receipt named first, then each statement as it runs.

    Raises NotPossible, with the rest printed, where a step made a catalog that nothing was tested on.
    """
    from pgtv.applying import Rebuilt, apply
    from pgtv.cli.leftovers import take_over
    from pgtv.cli.options import look

    take_over(where, plan.system_identifier, plan.database_oid)
    click.echo(f"receipt: {where}", err=True)
    return apply(
        acting, plan, where, click.echo, lock_timeout=target.lock_timeout,
        statement_timeout=target.statement_timeout, rows=rows,
        after=lambda step: _still_tested(target, plan, step),
        look=lambda: look(target, None),
        rebuilt=Rebuilt(_begun, lambda step: _compared(target, step)),
    )  # fmt: skip


def _still_tested(target: Target, plan: Plan, step: Step) -> None:
    """Look once a step has created the extension: only then can be told what its catalog is like, into
    which the steps that follow write."""
    from pgtv.catalog import dialects
    from pgtv.cli.options import look
    from pgtv.repairs.tested import refusal, untested

    rest = plan.steps[plan.steps.index(step) + 1 :]
    if rest and dialects.named(plan.generation).create_extension() in step.statements:
        why = untested(look(target, None).extension)
        if why:
            show(replace(plan, steps=rest))
            raise refusal(why, "the extension was created, and nothing that follows was applied")


def _begun(step: Step) -> list[RefreshedTview]:
    from pgtv.rows.rebuilt import under_way
    from pgtv.rows.written import entry

    return [entry(under_way(t)) for t in step.tviews]


def _compared(target: Target, step: Step) -> list[RefreshedTview]:
    """Look anew, and compare what a step rebuilt; tells each."""
    from pgtv.catalog.collect import collect
    from pgtv.reports.refresh import line
    from pgtv.rows.rebuilt import compare
    from pgtv.rows.written import entry
    from pgtv.session import connected

    found: list[RefreshedTview] = []

    def tell(one: Brought) -> None:
        found.append(entry(one))
        click.echo("\n".join(f"-- {text}" for text in line(one).splitlines()))
        if one.hint:
            click.echo(f"hint: {one.hint}", err=True)

    with connected(target) as connection:
        snapshot = collect(connection)
    compare(target, snapshot, step.tviews, tell)
    return found


def exit_of(rows: Iterable[RefreshedTview]) -> Exit:
    """By what is known of TVIEWs at the end: critical where rows differ, unknown where it is unknown."""
    ends = {r["end"] for r in rows}
    if "unsettled" in ends:
        return Exit.CRITICAL
    return Exit.UNKNOWN if "unknown" in ends else Exit.HEALTHY


def show(plan: Plan) -> None:
    """Print a plan as a script for psql."""
    from pgtv import plan as plans

    click.echo(plans.script(plan, lock_limit()), nl=False)


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
