"""`pgtv refresh`: rows brought up to date in dependency order, with no reader kept waiting."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import comparing, connection_options
from pgtv.cli.pacing import jobs_option, pace_options, refuse_with_rebuild
from pgtv.cli.paths import EXISTING_FILE, FILE
from pgtv.cli.receipts import applied, exit_of, new_receipt, receipt_file, show
from pgtv.errors import Exit, UsageError
from pgtv.session import Target, connected

if TYPE_CHECKING:
    import psycopg

    from pgtv.catalog.model import Snapshot, Tview
    from pgtv.reports.refresh import Earlier
    from pgtv.rows.bring import Brought
    from pgtv.rows.merge import Pace
    from pgtv.rows.named import Named


@click.command()
@connection_options
@click.argument("tviews", nargs=-1, metavar="[TVIEW]...")
@click.option("--exclude", multiple=True, metavar="TVIEW", help="Not these.")
@click.option("--apply", "apply_", is_flag=True, help="Write; without this it only compares.")
@click.option(
    "--strategy",
    type=click.Choice(["merge", "rebuild"]),
    default="merge",
    show_default=True,
    help="merge writes the rows that differ; rebuild is the extension's own, readers wait.",
)
@click.option(
    "--rows",
    "report",
    type=EXISTING_FILE,
    metavar="REPORT",
    help="Only the rows that this report of verify --format json names, and those that follow.",
)
@pace_options
@jobs_option
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the result.",
)
@click.option(
    "--receipt",
    type=FILE,
    metavar="FILE",
    help="Where --apply writes what was done, with keys and old values; by default a new file in the"
    " current directory.",
)
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    metavar="ROWS",
    help="Rows of each TVIEW whose old values the receipt keeps.",
)
@click.option("--resume", is_flag=True,
              help="Go on: leave out the TVIEWs that --receipt says are finished.")  # fmt: skip
def refresh(
    target: Target,
    tviews: tuple[str, ...],
    exclude: tuple[str, ...],
    apply_: bool,
    strategy: str,
    report: Path | None,
    pace: Pace,
    fmt: str,
    receipt: Path | None,
    keep: int,
    resume: bool,
) -> int:
    """Make rows equal to their definitions, dependents included; compares only without --apply."""
    from pgtv.applying import acting_if
    from pgtv.cli.refresh_receipt import of_earlier_run
    from pgtv.graph.edges import edges
    from pgtv.graph.select import select
    from pgtv.reports.refresh import Earlier, carried, finished
    from pgtv.rows.bring import with_dependents
    from pgtv.rows.follow import followers

    if resume and not receipt:
        raise UsageError("--resume goes on from a receipt", "name it with --receipt FILE")
    if resume and not apply_:
        raise UsageError("--resume goes on with what --apply began", "add --apply")
    refuse_with_rebuild(strategy, "report", "resume", "fmt", "keep")
    target = comparing(target)
    with acting_if(apply_, target) as acting:
        snapshot, by = _look(target, apply_=apply_)
        named = _rows(report, snapshot)
        chosen = with_dependents(snapshot, select(snapshot, tviews, exclude))
        left_out = {t.label for t in select(snapshot, exclude, ())} if exclude else set()
        chosen = [t for t in chosen if t.label not in left_out]
        if named is not None:
            led_to = followers(edges(snapshot), snapshot, named.keys)
            chosen = [t for t in chosen if t in led_to]
        if not chosen:
            click.echo("there is no TVIEW to refresh", err=True)
        if strategy == "rebuild":
            return _rebuild(target, snapshot, chosen, acting, receipt)
        earlier = of_earlier_run(receipt, snapshot) if resume and receipt else Earlier()
        chosen = _unfinished(snapshot, chosen, finished(earlier.tviews))
        left = carried(earlier.tviews, {t.label for t in chosen})
        return _merge(
            target, snapshot, chosen, named, apply_=apply_, pace=replace(pace, kept=keep),
            fmt=fmt, receipt=receipt, by=by, earlier=replace(earlier, tviews=left),
        )  # fmt: skip


def rows_of_report(
    target: Target, report: Path, *, apply_: bool, receipt: Path | None, pace: Pace
) -> int:
    """`pgtv repair rows --report`: the rows that a report of verify names, and those that follow."""
    from pgtv.applying import acting_if
    from pgtv.graph.edges import edges
    from pgtv.rows.follow import followers
    from pgtv.rows.named import load

    target = comparing(target)
    with acting_if(apply_, target):
        snapshot, by = _look(target, apply_=apply_)
        named = load(report, snapshot)
        _tell(named)
        chosen = followers(edges(snapshot), snapshot, named.keys)
        return _merge(
            target, snapshot, chosen, named, by=by, apply_=apply_, pace=pace, receipt=receipt
        )


def _look(target: Target, *, apply_: bool) -> tuple[Snapshot, str]:
    """What there is, and the login. Raises NotPossible where it is not to be written to."""
    from pgtv.catalog.collect import collect
    from pgtv.repairs.tested import may_write

    with connected(target) as connection:
        snapshot, by = collect(connection), connection.info.user
    if apply_:
        may_write(snapshot.extension)
    return snapshot, by


def _merge(
    target: Target,
    snapshot: Snapshot,
    chosen: list[Tview],
    named: Named | None,
    *,
    by: str,
    apply_: bool,
    pace: Pace,
    fmt: str = "text",
    receipt: Path | None = None,
    earlier: Earlier | None = None,
) -> int:
    """Bring them, telling and recording each as it ends."""
    from pgtv.cli.refresh_receipt import Record
    from pgtv.reports.refresh import Earlier, line
    from pgtv.rows.bring import bring, exit_code

    if not apply_:
        receipt = None  # what was done before is not written over
    elif receipt is None and chosen:
        receipt = new_receipt(datetime.now(UTC).isoformat(timespec="seconds"))
        click.echo(f"receipt: {receipt}", err=True)
    rows = {t.label: _estimate(snapshot, t) for t in chosen}

    def tell(one: Brought) -> None:
        record.end(one)
        if fmt == "text":
            click.echo(line(one, rows[one.tview]))
            if one.hint:
                click.echo(f"hint: {one.hint}", err=True)

    with Record(snapshot, apply_, receipt, by, earlier or Earlier()) as record:
        ended = bring(
            target, snapshot, chosen, apply=apply_, pace=pace,
            named=named.keys if named else None, named_whole=named.whole if named else None,
            on_batch=record.batch, on_end=tell, earlier=record.finished,
        )  # fmt: skip
    if fmt == "json":
        click.echo(json.dumps(record.document(), ensure_ascii=False, indent=2))
    if not apply_ and any(b.differing for b in ended):
        click.echo("nothing was written; --apply does it", err=True)
    return exit_code(ended) if snapshot.extension.installed else Exit.UNKNOWN


def _rows(report: Path | None, snapshot: Snapshot) -> Named | None:
    """The rows that a report names; tells what it leaves out."""
    if report is None:
        return None
    from pgtv.rows.named import load

    found = load(report, snapshot)
    _tell(found)
    return found


def _tell(found: Named) -> None:
    for label, here, all_ in found.short:
        click.echo(f"{label}: the report names {here:,} of {all_:,} rows that differed", err=True)
    if not found.keys:
        click.echo("the report names no row that differs", err=True)


def _estimate(snapshot: Snapshot, tview: Tview) -> float:
    relation = snapshot.by_oid.get(tview.table_oid)
    return relation.reltuples if relation else -1.0


def _unfinished(snapshot: Snapshot, chosen: list[Tview], earlier: Collection[str]) -> list[Tview]:
    """Those not finished, and all that read one of them: it was compared with wrong rows then."""
    from pgtv.graph.edges import edges

    left = [t.table_oid for t in chosen if t.label not in earlier]
    again = {t.table_oid for t in edges(snapshot).affected(left)}
    return [t for t in chosen if t.table_oid in again]


def _rebuild(
    target: Target,
    snapshot: Snapshot,
    chosen: list[Tview],
    acting: psycopg.Connection[Any] | None,
    receipt: Path | None,
) -> int:
    """The extension's own refresh of each TVIEW that no other refresh reaches, compared afterwards;
    without `acting`, shown."""
    from pgtv.repairs import rebuilding

    plan = rebuilding.plan(snapshot, chosen)
    if acting is None:
        show(plan)
        click.echo("nothing was written; --apply does it", err=True)
        return Exit.WARNING if plan.steps else Exit.HEALTHY
    if not plan.steps:
        return Exit.HEALTHY
    return exit_of(applied(acting, target, plan, receipt_file(receipt, plan)).rows)
