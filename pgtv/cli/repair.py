"""`pgtv repair`: the cures that doctor prints, as a plan: shown, applied on request, checked afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import apply_option, comparing, connection_options, receipt_option
from pgtv.cli.pacing import (
    PACING,
    jobs_option,
    pace_options,
    pacing_given,
    refuse,
    refuse_with_rebuild,
)
from pgtv.cli.paths import EXISTING_FILE, FILE
from pgtv.cli.receipts import applied, exit_of, receipt_file, show
from pgtv.cli.repair_plan import VERIFY, Asked, asked_of, make
from pgtv.errors import Exit, NotPossible, UsageError
from pgtv.session import Target, connected

if TYPE_CHECKING:
    import psycopg

    from pgtv.applying import Keep
    from pgtv.plan import Plan, Step
    from pgtv.repairs.metadata import Given
    from pgtv.rows.merge import Pace
    from pgtv.rows.written import RefreshedTview

ROUNDS = 5  # a cure may uncover what it hid: registrations first, then triggers, then rows


@click.command()
@connection_options
@click.option(
    "--from",
    "sources",
    type=FILE,
    metavar="FILE",
    multiple=True,
    help="Look at a saved snapshot instead of a server. With `metadata`: where lost registrations are "
    "taken from, a snapshot or SQL that defines TVIEWs; may be repeated.",
)
@click.option(
    "--definition",
    "definitions",
    type=FILE,
    metavar="FILE",
    multiple=True,
    help="With `metadata`: as --from, and right where sources disagree.",
)
@click.option(
    "--state",
    type=FILE,
    metavar="SNAPSHOT",
    help="With `metadata`: look at this snapshot of the damaged database instead of a server.",
)
@click.argument("what", nargs=-1, metavar="[metadata|triggers|rows] [TVIEW|FINDING]...")
@apply_option
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    help="Save the plan for a colleague to read.",
)
@click.option(
    "--plan",
    "saved",
    type=EXISTING_FILE,
    metavar="FILE",
    help="Apply this saved plan, unless the database has outgrown it.",
)
@click.option(
    "--undo",
    "receipt",
    type=EXISTING_FILE,
    metavar="RECEIPT",
    help="Take back what a receipt says was done, where that is possible.",
)
@receipt_option
@click.option(
    "--report",
    type=EXISTING_FILE,
    metavar="FILE",
    help="`repair rows` only: the rows that this report of verify --format json names, and those that"
    " follow.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Compare contents with definitions too, as doctor --verify, and cure what differs; reads rows.",
)
@click.option(
    "--strategy", type=click.Choice(["merge", "rebuild"]), default="merge", show_default=True,
    help="Rows: merge what differs, or the extension's own refresh, which keeps readers waiting.",
)  # fmt: skip
@pace_options
@jobs_option
def repair(
    target: Target,
    sources: tuple[Path, ...],
    definitions: tuple[Path, ...],
    state: Path | None,
    what: tuple[str, ...],
    apply_: bool,
    output: Path | None,
    saved: Path | None,
    receipt: Path | None,
    receipt_path: Path | None,
    report: Path | None,
    verify: bool,
    strategy: str,
    pace: Pace,
) -> int:
    """Show the cure of what doctor finds, in order; apply it with --apply."""
    from pgtv import plan as plans
    from pgtv.applying import acting_if
    from pgtv.repairs.tested import refusal

    if apply_ or verify:
        target = comparing(target)
    if receipt is not None:
        refuse(
            "--undo goes alone, with --apply and --receipt", "what", "sources", "definitions", "state",
            "saved", "output", "report", "verify", "strategy", *PACING,
        )  # fmt: skip
        from pgtv.cli.undo import undo

        return undo(target, receipt, receipt_path, apply_)
    if report is not None:
        alone = "--report goes with `repair rows` alone"
        if what != ("rows",):
            raise UsageError(alone, "pgtv repair rows --report FILE")
        refuse(alone, "sources", "definitions", "state", "saved", "output", "verify", "strategy")
        from pgtv.cli.refresh import rows_of_report

        return rows_of_report(target, report, apply_=apply_, receipt=receipt_path, pace=pace)
    refuse_with_rebuild(strategy)
    given, source = _files(what, sources, definitions, state)
    if saved is not None:
        # where registrations are taken from is no part of a plan, and goes with `metadata`
        words = () if given is not None and what == ("metadata",) else ("what",)
        refuse(f"{saved} says itself what is to be done", *words, "verify", "strategy", "output")
    if given is not None:
        refuse("where registrations come back, rows are merged", "strategy")
    if source and (apply_ or verify):
        raise UsageError(
            f"a file is looked at; {'--apply' if apply_ else '--verify'} needs the server",
            "save the plan with -o, then apply it with --plan FILE --apply" if apply_ else None,
        )
    wanted = plans.load_plan(saved) if saved is not None else None
    asked = Asked(what, strategy, verify, given) if wanted is None else asked_of(wanted, given)
    with acting_if(apply_, target) as acting:
        made = make(target, source, asked)
        if wanted is not None and not made.same_work(wanted):
            raise NotPossible(
                f"{saved} was made for another state of the database, or for another database",
                "look again and make a new plan: pgtv repair -o FILE",
            )
        if output is not None:
            plans.write(made, output)
            click.echo(f"plan with {len(made.steps)} steps written to {output}", err=True)
        if made.untested and (apply_ or made.steps):
            if output is None:
                show(made)
            raise refusal(made.untested)
        if acting is not None:
            return _apply(acting, target, made, asked, receipt_path, pace)
    if output is None:
        show(made)
    if made.steps:
        how = _how(asked, sources if given else (), definitions)
        click.echo(f"nothing was written; {how} --apply does it", err=True)
    return Exit.HEALTHY if not made.steps and not made.left else Exit.WARNING


def _files(
    what: tuple[str, ...],
    sources: tuple[Path, ...],
    definitions: tuple[Path, ...],
    state: Path | None,
) -> tuple[Given | None, Path | None]:
    """What registrations are taken from, and the file that is looked at instead of a server."""
    if "metadata" not in what:
        if definitions or state or len(sources) > 1:
            raise UsageError(
                "--definition, --state and several --from go with `repair metadata`",
                "without it, --from SNAPSHOT looks at a file instead of a server",
            )
        return None, sources[0] if sources else None
    from pgtv.repairs.metadata import Given
    from pgtv.repairs.sources import load

    if not sources and not definitions:
        return None, state
    return Given([load(f) for f in sources], [load(f) for f in definitions]), state


def _how(asked: Asked, sources: tuple[Path, ...] = (), definitions: tuple[Path, ...] = ()) -> str:
    import shlex

    words = [*asked.what, *([VERIFY] if asked.verify else [])]
    words += ["--strategy", asked.strategy] if asked.strategy != "merge" else []
    for option, files in (("--from", sources), ("--definition", definitions)):
        words += [w for f in files for w in (option, str(f))]
    return shlex.join(["pgtv", "repair", *words, *pacing_given()])


def _apply(
    acting: psycopg.Connection[Any],
    target: Target,
    plan: Plan,
    asked: Asked,
    path: Path | None,
    pace: Pace,
) -> int:
    """Apply, look again, and go on while that uncovers more; exits by what remains."""
    from pgtv import plan as plans
    from pgtv.repairs.remembering import still_owed

    cured: set[str] = set()
    owed: list[str] = []
    rows: dict[str, RefreshedTview] = {}
    left = {x.finding: x for x in plan.left}
    for turn in range(ROUNDS):
        new = {c for s in plan.steps for c in s.cures} - cured
        if not plan.steps or (turn and not new):
            break
        where = receipt_file(path, plan, turn)
        receipt = applied(
            acting, target, plan, where,
            lambda step, keep: _rows(target, step, keep, asked.given, pace),
        )  # fmt: skip
        cured |= new
        rows |= {r["tview"]: r for r in receipt.rows}
        owed += still_owed(plan.steps)
        plan = make(target, None, asked, frozenset(cured))
        left |= {x.finding: x for x in plan.left}
        receipt.remaining = tuple(sorted({c for s in plan.steps for c in s.cures}))
        plans.write(receipt, where)
    remaining = {c for s in plan.steps for c in s.cures}
    for one in left.values():
        click.echo(f"left alone: {one.finding}: {one.why}", err=True)
    if remaining:
        for finding in sorted(remaining):
            click.echo(f"still there: {finding}", err=True)
        return Exit.CRITICAL
    if code := exit_of(rows.values()):
        return code  # told as it was compared
    click.echo("checked again: " + ("done" if cured else "nothing to do"), err=True)
    if owed:
        names = ", ".join(dict.fromkeys(owed))
        click.echo(f"rows are owed: {names}; this brings them: pgtv repair --apply", err=True)
    return Exit.WARNING if left or owed else Exit.HEALTHY


def _rows(target: Target, step: Step, keep: Keep, given: Given | None, pace: Pace) -> str:
    """A merge step: look anew, bring its TVIEWs, keep and say what was written.

    After restoring registrations most rows are right: then only what differs needs the right to write.
    """
    from pgtv.catalog.collect import collect
    from pgtv.rows.bring import bring, with_dependents
    from pgtv.rows.settle import settle, written
    from pgtv.rows.written import entry

    with connected(target) as connection:
        snapshot = collect(connection)
    wanted = [t for t in snapshot.tviews if t.label in step.tviews]
    told: dict[str, Any] = {"on_batch": keep.batch, "on_end": lambda b: keep(entry(b))}
    if given is not None:
        said = settle(target, snapshot, wanted, click.echo, pace, **told)
    else:
        every = with_dependents(snapshot, wanted)
        said = written(bring(target, snapshot, every, apply=True, pace=pace, **told))
    click.echo(f"-- {said or 'no row differed'}")
    return said or "no row differed"
