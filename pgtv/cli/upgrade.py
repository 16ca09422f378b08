"""`pgtv upgrade detach|attach|verify`: TVIEWs through a pg_upgrade without rewriting a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import (
    apply_option,
    color_wanted,
    comparing,
    connection_options,
    look,
    receipt_option,
    width,
    write_output,
)
from pgtv.cli.paths import FILE
from pgtv.cli.receipts import applied, receipt_file, show
from pgtv.errors import Exit, NotPossible, UsageError
from pgtv.session import Target, connected

if TYPE_CHECKING:
    from pgtv.applying import Keep
    from pgtv.catalog.model import Snapshot
    from pgtv.finding import Finding
    from pgtv.plan import Plan, Step
    from pgtv.repairs.registered import Source

ROUNDS = 3  # what is registered uncovers what reads it


@click.group()
def upgrade() -> None:
    """Take TVIEWs through a major upgrade, and make sure of it."""


@upgrade.command()
@connection_options
@click.option(
    "--snapshot", "file", type=FILE, metavar="FILE", required=True,
    help="Where to save what attaching needs. Keep it: nothing else holds it afterwards.",
)  # fmt: skip
@apply_option
@receipt_option
def detach(target: Target, file: Path, apply_: bool, receipt_path: Path | None) -> int:
    """Save every registration, refuse writes, and take the extension away.

    tv_ tables stay as they are and can be read. One transaction does it, or nothing: it may be
    interrupted and run again. Writes to the tables that TVIEWs read fail (25006) until
    `pgtv upgrade attach`.

    Exit codes: 0 detached, 1 shown only, 3 not possible.
    """
    from pgtv import fence
    from pgtv.applying import acting_if
    from pgtv.catalog import codec
    from pgtv.lifecycle.upgrade import detach as detaching

    target = comparing(target)  # taking thousands of TVIEWs away is one long statement
    with acting_if(apply_, target) as acting:
        now, others = _now(target)
        if not now.extension.installed and fence.fenced(now):
            return _already(file)
        why = detaching.obstacles(now, _findings(now), others)
        if why:
            raise NotPossible("this database cannot be detached:\n  " + "\n  ".join(why))
        plan = detaching.plan(now, str(file))
        if acting is None:
            show(plan)
            click.echo(
                "nothing was written, not even the snapshot; --apply saves it and does this",
                err=True,
            )
            return Exit.WARNING
        if file.exists():
            _same_or_refuse(file, now)
        codec.save(now, file)
        click.echo(f"saved {file}: {len(now.tviews)} TVIEWs", err=True)
        applied(acting, target, plan, receipt_file(receipt_path, plan))
    click.echo(
        f"detached: {len(now.tviews)} TVIEWs stay as tables, writes to what they read are refused\n"
        f"Next: upgrade the server, then: pgtv upgrade attach --from {file} --apply",
        err=True,
    )
    return Exit.HEALTHY


def _now(target: Target) -> tuple[Snapshot, list[str]]:
    """What is there, and what dropping the extension would take along."""
    from pgtv.catalog.collect import collect
    from pgtv.lifecycle.upgrade.dependents import dependents

    with connected(target) as connection:
        now = collect(connection)
        return now, dependents(connection, now) if now.extension.installed else []


def _findings(snapshot: Snapshot) -> list[Finding]:
    from pgtv.checks.examine import examine
    from pgtv.checks.registry import all_checks

    checks = [c for c in all_checks().values() if c.group == "metadata"]
    return list(examine(snapshot, checks).findings)


def _already(file: Path) -> int:
    from pgtv.repairs.sources import load

    if not file.exists():
        raise UsageError(
            f"this database is detached already, and {file} is not there",
            "name the snapshot that was saved then: the comment on schema pgtv_fence tells it",
        )
    held = load(file)
    click.echo(
        f"detached already: {file} holds {len(held.registrations)} TVIEWs\n"
        f"Next: upgrade the server, then: pgtv upgrade attach --from {file} --apply",
        err=True,
    )
    return Exit.HEALTHY


def _same_or_refuse(file: Path, now: Snapshot) -> None:
    """An earlier snapshot under that name is replaced only by one that says the same."""
    from pgtv.catalog import codec
    from pgtv.lifecycle.upgrade.same import compare

    if compare(codec.load(file), now).changes:
        raise UsageError(
            f"{file} exists, and is of another state of the TVIEWs",
            "give another name, or remove it once you are sure that nothing needs it",
        )


@upgrade.command()
@connection_options
@click.option(
    "--from", "source", type=FILE, metavar="SNAPSHOT", required=True,
    help="The snapshot that `pgtv upgrade detach` saved, or any other of this database.",
)  # fmt: skip
@click.option(
    "--definition", "definitions", type=FILE, metavar="FILE", multiple=True,
    help="Decides where sources disagree: SQL that defines the TVIEW, or a snapshot.",
)  # fmt: skip
@click.option(
    "--state", type=FILE, metavar="SNAPSHOT",
    help="Plan for this snapshot of the detached database, without a server.",
)  # fmt: skip
@apply_option
@receipt_option
def attach(
    target: Target,
    source: Path,
    definitions: tuple[Path, ...],
    state: Path | None,
    apply_: bool,
    receipt_path: Path | None,
) -> int:
    """Bring everything back as a snapshot says, let writes in, compare every row.

    Also the cure for a dropped extension and for a restore without registrations. What stands already
    is left alone, so an interrupted run is finished by running it again.

    Exit codes: 0 as before, 1 something else than before or shown only, 2 rows differ or something is
    missing, 3 could not run.
    """
    from pgtv import fence
    from pgtv.applying import acting_if

    if state and apply_:
        raise UsageError("--state plans without a server; --apply needs one")
    target = comparing(target)
    held, decided = _sources(source, definitions)
    assert held.snapshot is not None
    with acting_if(apply_, target) as acting:
        now = look(target, state)
        _can_attach(now, offline=state is not None)
        plan = _plan(target, now, held, decided, offline=state is not None)
        _require_tested(now, plan)
        if acting is None:
            show(plan)
            click.echo("nothing was written; --apply does it", err=True)
            return Exit.WARNING
        # Once more after each round: registering a TVIEW may uncover one that reads it.
        for turn in range(ROUNDS):
            where = receipt_file(receipt_path, plan, turn)
            applied(acting, target, plan, where, lambda step, keep: _rows(target, step, keep))
            now = look(target, None)
            plan = _plan(target, now, held, frozenset(), offline=False)  # what was decided is done
            if all(s.merge for s in plan.steps):
                break
    for left in plan.left:
        click.echo(f"left alone: {left.finding}: {left.why}", err=True)
    if plan.left and fence.fenced(now):
        click.echo(
            f"writes stay refused while these are missing; {fence.lower()} lets them in", err=True
        )
    code = _verdict(held.snapshot, now, None)
    return Exit.CRITICAL if plan.left else code


def _sources(source: Path, definitions: tuple[Path, ...]) -> tuple[Source, frozenset[str]]:
    """The snapshot, its definitions replaced where a person has decided; and which these are."""
    from pgtv.repairs.sources import decide, load

    held = load(source)
    if held.snapshot is None:
        raise UsageError(
            f"{source} is no snapshot",
            "for TVIEWs that only SQL files define: pgtv repair metadata --from FILE",
        )
    return decide(held, [load(d) for d in definitions])


def _plan(
    target: Target, now: Snapshot, held: Source, decided: frozenset[str], *, offline: bool
) -> Plan:
    from pgtv.lifecycle.upgrade import attach as attaching
    from pgtv.repairs.sources import absent

    wanted = held.registrations.values()
    lacking: frozenset[tuple[str, str]] = frozenset()
    if not offline:
        with connected(target) as connection:
            lacking = absent(connection, wanted)
    return attaching.plan(now, held, wanted, decided, lacking)


def _can_attach(now: Snapshot, *, offline: bool) -> None:
    from pgtv.catalog.dialects.base import EXTENSION

    if now.server.in_recovery:
        raise NotPossible("this server is a standby", "attach on the primary")
    if now.extension.default_version is None and not now.extension.installed:
        raise NotPossible(
            f"the package of {EXTENSION} is not installed on this server",
            "install the release for this major, then run this again",
        )
    if now.extension.preloaded is False and not offline:
        raise NotPossible(
            f"{EXTENSION} is not in shared_preload_libraries",
            "put it there and restart: without it DDL goes unnoticed",
        )


def _require_tested(now: Snapshot, plan: Plan) -> None:
    """Raises NotPossible, with the plan printed, on a catalog that nothing was tested on: registrations
    are written into it."""
    from pgtv.repairs.tested import refusal, untested

    if why := untested(now.extension):
        show(plan)
        raise refusal(why)


def _rows(target: Target, step: Step, keep: Keep) -> str:
    """Compare the step's TVIEWs and bring those that differ."""
    from pgtv.rows.settle import settle
    from pgtv.rows.written import entry

    snapshot = look(target, None)
    wanted = [t for t in snapshot.tviews if t.label in step.tviews]
    said = settle(
        target, snapshot, wanted, click.echo, on_end=lambda b: keep(entry(b)), on_batch=keep.batch
    )
    click.echo(f"-- {said}")
    return said


@upgrade.command()
@connection_options
@click.option(
    "--before", type=FILE, metavar="SNAPSHOT", required=True, help="What it was like before."
)
@click.option("--no-contents", is_flag=True, help="Do not compare rows.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write to FILE instead of stdout.")
def verify(target: Target, before: Path, no_contents: bool, output: Path | None) -> int:
    """Make sure that TVIEWs, triggers, options, owners and grants are as before, and rows right.

    Names count, not OIDs; what an upgrade has to change (versions, how a view is printed) is no
    difference.

    Exit codes: 0 as before, 1 something is different, 2 something is missing or rows differ, 3
    something could not be compared.
    """
    from pgtv.catalog import codec

    target = comparing(target)
    old = codec.load(before)
    now = look(target, None)
    code = _verdict(old, now, output)
    if no_contents:
        return code
    return max((code, _contents(target, now)), key=_RANK.index)


_RANK = [Exit.HEALTHY, Exit.WARNING, Exit.UNKNOWN, Exit.CRITICAL]


def _verdict(old: Snapshot, now: Snapshot, output: Path | None) -> Exit:
    from pgtv.lifecycle.upgrade import same
    from pgtv.reports import snapshots
    from pgtv.shown import printable

    found = same.compare(old, now)
    write_output(printable(snapshots.render_difference(found, old, now, width())), output)
    if same.lost(found):
        return Exit.CRITICAL
    if found.changes:
        return Exit.WARNING
    return Exit.UNKNOWN if found.not_compared else Exit.HEALTHY


def _contents(target: Target, now: Snapshot) -> Exit:
    from pgtv.reports import verification as report
    from pgtv.rows.result import exit_code
    from pgtv.rows.run import Plan, verify_all

    results = verify_all(Plan(now, target, now.tviews))
    click.echo(report.render(now, results, None, width=width(), color=color_wanted()), nl=False)
    return exit_code(results)
