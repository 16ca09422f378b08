"""`pgtv repair`: the cures that doctor prints, as a plan: shown, applied on request, checked afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import apply_option, connected, connection_options, look, receipt_option
from pgtv.cli.receipts import receipt_file
from pgtv.errors import Exit, NotPossible, UsageError
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.checks.examine import Examination
    from pgtv.plan import Plan, Step
    from pgtv.repairs.metadata import Given

WHAT = {
    "metadata": frozenset({"installation", "registration"}),
    "triggers": frozenset({"triggers"}),
    "rows": frozenset({"rows"}),
}
FILE = click.Path(dir_okay=False, path_type=Path)
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
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the plan for a colleague to read.",
)
@click.option(
    "--plan",
    "saved",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Apply this saved plan, unless the database has outgrown it.",
)
@click.option(
    "--undo",
    "receipt",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="RECEIPT",
    help="Take back what a receipt says was done, where that is possible.",
)
@receipt_option
@click.option(
    "--report",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="`repair rows` only: the rows that this report of verify --format json names.",
)
@click.option(
    "--strategy", type=click.Choice(["merge", "rebuild"]), default="merge", show_default=True,
    help="Rows: merge what differs, or the extension's own refresh, which keeps readers waiting.",
)  # fmt: skip
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
    strategy: str,
) -> int:
    """Show the cure of what doctor finds, in order; apply it with --apply."""
    from pgtv import plan as plans

    if receipt is not None:
        if what or saved or output:
            raise UsageError("--undo goes alone")
        return _undo(target, receipt, receipt_path, apply_)
    if report is not None:
        if what != ("rows",) or saved or output or sources:
            raise UsageError("--report goes with `repair rows` alone")
        from pgtv.cli.refresh import rows_of_report

        return rows_of_report(target, report, apply_=apply_, receipt=receipt_path)
    given, source = _files(what, sources, definitions, state)
    if apply_ and source:
        raise UsageError(
            "a file is looked at; --apply needs the server",
            "save the plan with -o, then apply it with --plan FILE --apply",
        )
    wanted = plans.load_plan(saved) if saved is not None else None
    if wanted is not None:
        what, strategy = wanted.asked, _strategy_of(wanted)
    made = _make(target, source, what, strategy, given)
    if wanted is not None and not made.same_work(wanted):
        raise NotPossible(
            f"{saved} was made for another state of the database, or for another database",
            "look again and make a new plan: pgtv repair -o FILE",
        )
    if output is not None:
        plans.write(made, output)
        click.echo(f"plan with {len(made.steps)} steps written to {output}", err=True)
    if not apply_:
        if output is None:
            click.echo(plans.script(made), nl=False)
        if made.steps:
            how = _how(what, sources if given else (), definitions)
            click.echo(f"nothing was written; {how} --apply does it", err=True)
        return Exit.HEALTHY if not made.steps and not made.left else Exit.WARNING
    return _apply(target, made, what, strategy, given, receipt_path)


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


def _strategy_of(plan: Plan) -> str:
    rows = [s for s in plan.steps if s.phase == "rows"]
    return "rebuild" if rows and not rows[0].merge else "merge"


def _how(
    what: tuple[str, ...], sources: tuple[Path, ...] = (), definitions: tuple[Path, ...] = ()
) -> str:
    import shlex

    words = [*what]
    for option, files in (("--from", sources), ("--definition", definitions)):
        words += [w for f in files for w in (option, str(f))]
    return shlex.join(["pgtv", "repair", *words])


def _make(
    target: Target,
    source: Path | None,
    what: tuple[str, ...],
    strategy: str,
    given: Given | None = None,
    cured: frozenset[str] = frozenset(),
) -> Plan:
    """Look, examine, and plan; of `what`, the findings `cured` may be gone."""
    from pgtv.checks.examine import examine
    from pgtv.checks.registry import all_checks
    from pgtv.plan import PHASES
    from pgtv.repairs import metadata
    from pgtv.repairs.from_findings import build

    phases = frozenset[str]().union(*(WHAT[w] for w in what if w in WHAT))
    phases |= {w for w in what if w in PHASES}
    named = tuple(w for w in what if w not in WHAT and w not in PHASES)
    examination = examine(look(target, source), all_checks().values())
    if given is not None:
        wanted = replace(given, named=named, absent=_absent(target, given, source))
        return metadata.build(examination, wanted, phases, cured)
    return build(
        examination, phases, _resolved(examination, named, cured), rebuild=strategy == "rebuild"
    )


def _absent(target: Target, given: Given, source: Path | None) -> frozenset[tuple[str, str]]:
    """What the sources' definitions read and the database lacks; unknown without a server."""
    from pgtv.repairs.sources import absent

    if source is not None:
        return frozenset()
    registrations = [
        r for s in (*given.sources, *given.decisions) for r in s.registrations.values()
    ]
    with connected(target) as connection:
        return absent(connection, registrations)


def _resolved(
    examination: Examination, named: tuple[str, ...], cured: frozenset[str]
) -> tuple[str, ...]:
    """Ids of findings as they are; names of TVIEWs as the selector knows them."""
    from pgtv.graph.select import select

    ids = {f.id for f in examination.findings} | cured
    tviews = [n for n in named if n not in ids]
    chosen = select(examination.snapshot, tviews, ()) if tviews else []
    return tuple(n for n in named if n in ids) + tuple(t.label for t in chosen)


def _apply(
    target: Target,
    plan: Plan,
    what: tuple[str, ...],
    strategy: str,
    given: Given | None,
    path: Path | None,
) -> int:
    """Apply, look again, and go on while that uncovers more; exits by what remains."""
    from pgtv import plan as plans
    from pgtv.applying import apply

    cured: set[str] = set()
    left = {x.finding: x for x in plan.left}
    for turn in range(ROUNDS):
        new = {c for s in plan.steps for c in s.cures} - cured
        if not plan.steps or (turn and not new):
            break
        where = receipt_file(path, plan, turn)
        click.echo(f"receipt: {where}", err=True)
        with connected(target, read_only=False) as connection:
            receipt = apply(
                connection, plan, where, click.echo, lock_timeout=target.lock_timeout,
                rows=lambda step: _rows(target, step, given),
            )  # fmt: skip
        cured |= new
        plan = _make(target, None, what, strategy, given, frozenset(cured))
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
    click.echo("checked again: " + ("done" if cured else "nothing to do"), err=True)
    return Exit.WARNING if left else Exit.HEALTHY


def _rows(target: Target, step: Step, given: Given | None) -> str:
    """A merge step: look anew, bring its TVIEWs, say what was written.

    After restoring registrations most rows are right: then only what differs needs the right to write.
    """
    from pgtv.catalog.collect import collect
    from pgtv.errors import QueryError
    from pgtv.rows.bring import End, bring, with_dependents
    from pgtv.rows.settle import settle

    with connected(target) as connection:
        snapshot = collect(connection)
    wanted = [t for t in snapshot.tviews if t.label in step.tviews]
    if given is not None:
        said = settle(target, snapshot, wanted, click.echo)
        click.echo(f"-- {said}")
        return said
    ended = bring(target, snapshot, with_dependents(snapshot, wanted), apply=True)
    for one in ended:
        if one.end in (End.UNKNOWN, End.UNSETTLED):
            raise QueryError(f"{one.tview}: {one.reason}", one.hint)
    said = "; ".join(
        f"{b.tview}: {b.merged.inserted} inserted, {b.merged.updated} changed,"
        f" {b.merged.deleted} deleted"
        for b in ended
    )
    click.echo(f"-- {said}")
    return said


def _undo(target: Target, receipt: Path, path: Path | None, apply_: bool) -> int:
    """The undo statements of what was done, last first."""
    from pgtv import plan as plans
    from pgtv.applying import apply
    from pgtv.plan import Left

    done = plans.load_receipt(receipt)
    ran = sorted({d.step for d in done.done if d.outcome == "done"}, reverse=True)
    steps, left = [], []
    for number in ran:
        step = done.plan.steps[number - 1]
        if step.undo is None:
            left.append(Left(step.title, "cannot be taken back"))
            continue
        steps.append(
            replace(
                step, title=f"Take back: {step.title}", statements=step.undo,
                undo=step.statements, cures=(), note=None,
            )
        )  # fmt: skip
    plan = replace(done.plan, steps=tuple(steps), left=tuple(left))
    if not apply_:
        click.echo(plans.script(plan), nl=False)
        return Exit.HEALTHY
    with connected(target, read_only=False) as connection:
        _same_database(connection, plan)
        where = receipt_file(path, plan)
        click.echo(f"receipt: {where}", err=True)
        apply(connection, plan, where, click.echo, lock_timeout=target.lock_timeout)
    return Exit.WARNING if left else Exit.HEALTHY


def _same_database(connection: object, plan: Plan) -> None:
    import psycopg

    assert isinstance(connection, psycopg.Connection)
    row = connection.execute(
        "SELECT current_database()::text, (SELECT oid::int8 FROM pg_catalog.pg_database"
        " WHERE datname = current_database())"
    ).fetchone()
    if row != (plan.database, plan.database_oid):
        raise NotPossible(
            f"the receipt is of database {plan.database}, this is {row[0] if row else '?'}"
        )
