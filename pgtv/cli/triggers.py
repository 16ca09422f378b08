"""`pgtv triggers status|disable|enable`: disabling is a lease, enabling brings the rows too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import (
    apply_option,
    comparing,
    connection_options,
    look,
    output_option,
    receipt_option,
    snapshot_option,
    verbosity_options,
    width,
    write_output,
)
from pgtv.cli.pacing import jobs_option, pace_options, refuse_with_rebuild
from pgtv.cli.receipts import applied, exit_of, receipt_file
from pgtv.errors import Exit, NotPossible, QueryError, UsageError
from pgtv.session import Target, connected

if TYPE_CHECKING:
    import psycopg

    from pgtv.applying import Keep
    from pgtv.catalog.model import Snapshot, Tview
    from pgtv.plan import Plan, Receipt, Step
    from pgtv.rows.merge import Pace

TVIEWS = click.argument("tviews", nargs=-1, metavar="[TVIEW]...")


def acting(command: Callable[..., Any]) -> Callable[..., Any]:
    """--apply and --receipt."""
    return connection_options(apply_option(receipt_option(command)))


@click.group()
def triggers() -> None:
    """See the extension's triggers, disable them for a time, and give them back with the rows.

    Disabling is a lease: the states of before are kept, doctor counts the time down, and only
    enable ends it. TVIEWs are selected as everywhere (tv_x, +tv_x, tv_x+); none stands for all.
    """


@triggers.command()
@connection_options
@snapshot_option
@TVIEWS
@click.option(
    "--format", "fmt", type=click.Choice(["human", "json"]), default="human", show_default=True,
    help="How to print it.",
)  # fmt: skip
@output_option
@verbosity_options
def status(
    target: Target,
    source: Path | None,
    tviews: tuple[str, ...],
    fmt: str,
    output: Path | None,
    verbosity: int,
) -> int:
    """Show the triggers of each table: whether they are there and fire, and which lease holds them.

    Exit codes: 0 all fire, 1 a lease runs, 2 triggers are missing or disabled with no lease or after
    its time, or rows are owed, 3 unknown.
    """
    from pgtv.reports import triggers as report

    snapshot = look(target, source)
    found = report.status(snapshot, _selected(snapshot, tviews))
    if fmt == "json":
        text = json.dumps(report.document(found), ensure_ascii=False, indent=2) + "\n"
    else:
        text = report.render(found, None if output else width(), verbosity)
    write_output(text, output)
    return found.exit


@triggers.command()
@acting
@TVIEWS
@click.option(
    "--for", "period", required=True, metavar="TIME",
    help="After this time doctor is critical: 15m, 2h, 1d. Nothing enables by itself.",
)  # fmt: skip
@click.option("--reason", required=True, help="For whoever finds it: what for, and whose.")
def disable(
    target: Target,
    tviews: tuple[str, ...],
    period: str,
    reason: str,
    apply_: bool,
    receipt_path: Path | None,
) -> int:
    """Disable triggers for a time, and keep their states; extends a lease that holds them.

    Writes go on and do not reach these TVIEWs, nor those that read them, until enable. Needs pgtv
    init. It also works when the library is gone or does not match, and then lets writes through
    again: name no TVIEW, so that every trigger of the extension is disabled.
    """
    from pgtv.applying import acting_if
    from pgtv.cli.verify import duration
    from pgtv.repairs.triggers import disable as plan_of

    seconds = duration(period)
    if seconds < 1 or not period.strip()[-1:].isalpha():
        raise UsageError(f"--for {period!r} is no time with a unit", "as in 15m, 2h or 1d")
    if not reason.strip():
        raise UsageError("--reason says nothing", "say what for, for whoever finds it")
    with acting_if(apply_, target := comparing(target)) as acting:
        snapshot = _look(target)
        _require_state(target)
        plan = plan_of(snapshot, _selected(snapshot, tviews), seconds, reason.strip())
        if acting is None:
            words = ["disable", *tviews, "--for", period, "--reason", reason]
            return _show(plan, words, Exit.HEALTHY)
        try:
            _apply(acting, target, plan, receipt_path)
        except QueryError:
            _tell_leases(_look(target))  # tables done before it stay disabled
            raise
        return _disabled(target)


@triggers.command()
@acting
@TVIEWS
@click.option("--expired", is_flag=True, help="Only leases whose time is over: for a timer.")
@click.option(
    "--strategy", type=click.Choice(["merge", "rebuild"]), default="merge", show_default=True,
    help="Rows: merge what differs, or the extension's own refresh, which keeps readers waiting.",
)  # fmt: skip
@pace_options
@jobs_option
def enable(
    target: Target,
    tviews: tuple[str, ...],
    expired: bool,
    strategy: str,
    pace: Pace,
    apply_: bool,
    receipt_path: Path | None,
) -> int:
    """Give triggers the states that they had, and bring the rows missed meanwhile.

    Ends leases, those of these TVIEWs or all. A run that was killed can be run again: the lease says
    which rows are still owed. Exit codes: 0 nothing is left, 1 shown only, 3 rows are still owed or
    it could not run.
    """
    from pgtv.applying import acting_if
    from pgtv.repairs.triggers import enable as plan_of

    refuse_with_rebuild(strategy)
    with acting_if(apply_, target := comparing(target)) as acting:
        snapshot = _look(target)
        chosen = _selected(snapshot, tviews)
        plan = plan_of(snapshot, chosen, expired=expired, rebuild=strategy == "rebuild")
        if not plan.steps:
            click.echo(_nothing(snapshot, expired=expired), err=True)
            return Exit.HEALTHY
        _require_writes(snapshot, plan)
        if acting is None:
            words = ["enable", *tviews, *(["--expired"] if expired else [])]
            words += ["--strategy", strategy] if strategy != "merge" else []
            return _show(plan, words, Exit.WARNING)
        rows = _apply(acting, target, plan, receipt_path, pace).rows
        again = _look(target)
    left = plan_of(again, _selected(again, tviews), expired=expired)
    if left.steps:
        click.echo(f"still there: {'; '.join(s.title for s in left.steps)}", err=True)
        return Exit.CRITICAL
    code = exit_of(rows) if strategy == "rebuild" else Exit.HEALTHY
    if not code:
        click.echo("checked again: done", err=True)
    return code


def _look(target: Target) -> Snapshot:
    from pgtv.catalog.collect import collect

    with connected(target) as connection:
        return collect(connection)


def _selected(snapshot: Snapshot, tviews: tuple[str, ...]) -> list[Tview] | None:
    """None for all: also triggers whose TVIEW is lost, and where none can be read."""
    from pgtv.graph.select import select

    return select(snapshot, tviews) if tviews else None


def _nothing(snapshot: Snapshot, *, expired: bool) -> str:
    if expired and snapshot.leases:
        return "no lease is over its time, and no rows are owed"
    off = sum(t.enabled == "D" for t in snapshot.triggers if t.kind)
    if off and not snapshot.leases:
        return (
            f"no lease holds triggers; {off} are disabled all the same: pgtv doctor --only triggers"
        )
    return "no lease holds triggers of these TVIEWs, and no rows are owed"


def _require_state(target: Target) -> None:
    """Raises NotPossible where the schema pgtv is missing, old, or another database's."""
    from pgtv.rows.state import require

    with connected(target) as connection:
        require(connection)


def _require_writes(snapshot: Snapshot, plan: Plan) -> None:
    """Raises NotPossible where triggers that fire again would make writes fail."""
    from pgtv.repairs.triggers import failing

    reached = {t for s in plan.steps if s.phase == "triggers" for t in s.tviews}
    for finding in failing(snapshot) if reached else ():
        if finding.object.startswith("(") or reached & {finding.object, *finding.affects}:
            raise NotPossible(
                f"writes would fail as soon as the triggers fire: {finding.detail}",
                f"cure that first, the lease stays: pgtv explain {finding.check}",
            )


def _show(plan: Plan, words: list[str], code: Exit) -> int:
    import shlex

    from pgtv.cli.receipts import show

    show(plan)
    click.echo(f"nothing was written; pgtv triggers {shlex.join(words)} --apply does it", err=True)
    return code


def _apply(
    acting: psycopg.Connection[Any],
    target: Target,
    plan: Plan,
    path: Path | None,
    pace: Pace | None = None,
) -> Receipt:
    from pgtv import kept

    kept.check(acting)
    where = receipt_file(path, plan)
    return applied(acting, target, plan, where, lambda step, keep: _rows(target, step, keep, pace))


def _rows(target: Target, step: Step, keep: Keep, pace: Pace | None) -> str:
    """Look anew, bring what leases owe of the step's TVIEWs, and write down what is owed no more."""
    from pgtv import kept
    from pgtv.repairs.lease_sql import settled
    from pgtv.repairs.triggers import stale
    from pgtv.rows.bring import Brought
    from pgtv.rows.owed import bring_owed
    from pgtv.rows.written import entry

    snapshot = _look(target)
    owing = {lease.id: set(lease.owed) for lease in snapshot.leases if lease.owed}
    owed = set[str]().union(*owing.values())
    tviews = [t for t in stale(snapshot, owed) if t.label in step.tviews]
    told: list[str] = []

    def tell(one: Brought) -> None:
        keep(entry(one))
        if one.merged.written or one.reason:
            why = f" ({one.reason})" if one.reason else ""
            told.append(f"{one.tview}: {one.merged.counts}{why}")
            click.echo(f"-- {told[-1]}")

    found = bring_owed(target, snapshot, tviews, pace=pace, on_end=tell, on_batch=keep.batch)
    gone = {e for e in owed if e not in snapshot.tview_by_entity}
    entities = {t.entity for t in found.tviews} | gone
    if entities:
        statement = settled(owing, entities)
        click.echo(statement)
        with connected(target, read_only=False) as connection, connection.transaction():
            connection.execute("SET TRANSACTION READ WRITE")
            kept.lock(connection, kept.CHANGES, "lease")
            connection.execute(statement.encode())
    if found.reason:
        raise QueryError(f"rows are still owed: {found.reason}", found.hint)
    return "; ".join(told) or "no row differed"


def _disabled(target: Target) -> int:
    """Look again: every trigger that a lease holds is off."""
    from pgtv.checks.leases import held

    snapshot = _look(target)
    by_trigger = held(snapshot)
    if any(h.trigger.enabled != "D" for h in by_trigger.values()) or not snapshot.leases:
        click.echo("still there: triggers that a lease holds fire: pgtv triggers status", err=True)
        return Exit.CRITICAL
    _tell_leases(snapshot)
    return Exit.HEALTHY


def _tell_leases(snapshot: Snapshot) -> None:
    from pgtv.checks.leases import remaining

    for lease in snapshot.leases:
        if lease.triggers:
            click.echo(
                f"lease {lease.id}: {len(lease.triggers)} triggers, {remaining(lease)}; ends with:"
                " pgtv triggers enable --apply",
                err=True,
            )
