"""`pgtv refresh`: rows brought up to date in dependency order, with no reader kept waiting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import connected, connection_options
from pgtv.errors import Exit, UsageError
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot, Tview
    from pgtv.reports.documents import RefreshDocument, RefreshedTview
    from pgtv.rows.bring import Brought
    from pgtv.rows.merge import Pace

FILE = click.Path(dir_okay=False, path_type=Path)
GIVEN = click.Path(exists=True, dir_okay=False, path_type=Path)


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
    type=GIVEN,
    metavar="REPORT",
    help="Only the rows that this report of verify --format json names.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    help="Sessions: TVIEWs that do not read each other, or parts of one, side by side.",
)
@click.option(
    "--max-writer-wait",
    type=click.IntRange(10, 60_000),
    default=500,
    show_default=True,
    metavar="MS",
    help="How long a writer of the same rows may wait; sizes the batches.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 100_000),
    help="Rows a transaction, instead of what --max-writer-wait allows.",
)
@click.option(
    "--max-rate", type=click.FloatRange(min=0.1), metavar="ROWS", help="Rows a second at most."
)
@click.option(
    "--max-lag",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait while a standby lags further behind.",
)
@click.option(
    "--control",
    type=FILE,
    metavar="FILE",
    help="Read before each batch: lines max-rate=N, max-lag=S, pause.",
)
@click.option(
    "--barrier-timeout",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Bound on each wait for writers that were running.",
)
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
    help="Write what was done, with keys and old values, to this file.",
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
    jobs: int,
    max_writer_wait: int,
    batch: int | None,
    max_rate: float | None,
    max_lag: float | None,
    control: Path | None,
    barrier_timeout: float,
    fmt: str,
    receipt: Path | None,
    keep: int,
    resume: bool,
) -> int:
    """Make rows equal to their definitions, dependents included; compares only without --apply."""
    from pgtv.catalog.collect import collect
    from pgtv.catalog.dialects import named
    from pgtv.graph.select import select
    from pgtv.rows.bring import with_dependents
    from pgtv.rows.merge import Pace
    from pgtv.rows.throttle import Limits, Throttle

    if resume and not receipt:
        raise UsageError("--resume goes on from a receipt", "name it with --receipt FILE")
    if strategy == "rebuild" and (report or resume or receipt):
        raise UsageError(
            "--strategy rebuild knows no rows", "leave out --rows, --receipt, --resume"
        )
    with connected(target) as connection:
        snapshot = collect(connection)
    if not named(snapshot.extension.generation).acts and apply_:
        raise UsageError("pgtv only looks at catalogs of this generation")
    keys = _rows(report, snapshot)
    chosen = with_dependents(snapshot, select(snapshot, tviews, exclude))
    left_out = {t.label for t in select(snapshot, exclude, ())} if exclude else set()
    chosen = [t for t in chosen if t.label not in left_out]
    if keys is not None:
        chosen = [t for t in chosen if t.table_oid in keys]
    if not chosen:
        click.echo("there is no TVIEW to refresh", err=True)
    if strategy == "rebuild":
        return _rebuild(target, snapshot, chosen, apply_)
    earlier = _earlier(receipt, snapshot) if resume and receipt else {}
    if earlier:
        chosen = _unfinished(snapshot, chosen, earlier)
        earlier = {
            label: e for label, e in earlier.items() if label not in {t.label for t in chosen}
        }
    pace = Pace(
        batch=batch, longest=max_writer_wait / 2000, barrier_timeout=barrier_timeout, kept=keep,
        between=Throttle(
            Limits(max_rate, max_lag), [t.table_oid for t in chosen], control,
            lambda text: click.echo(text, err=True),
        ),
    )  # fmt: skip
    return _merge(
        target, snapshot, chosen, keys, apply_=apply_, pace=pace, jobs=jobs, fmt=fmt,
        receipt=receipt, earlier=earlier,
    )  # fmt: skip


def rows_of_report(target: Target, report: Path, *, apply_: bool, receipt: Path | None) -> int:
    """`pgtv repair rows --report`: the rows that a report of verify names, and no others."""
    from pgtv.catalog.collect import collect
    from pgtv.rows.bring import with_dependents
    from pgtv.rows.merge import Pace

    with connected(target) as connection:
        snapshot = collect(connection)
    keys = _rows(report, snapshot) or {}
    chosen = [t for t in with_dependents(snapshot, snapshot.tviews) if t.table_oid in keys]
    return _merge(target, snapshot, chosen, keys, apply_=apply_, pace=Pace(), receipt=receipt)


def _merge(
    target: Target,
    snapshot: Snapshot,
    chosen: list[Tview],
    keys: dict[int, tuple[tuple[str | None, ...], ...]] | None,
    *,
    apply_: bool,
    pace: Pace,
    jobs: int = 1,
    fmt: str = "text",
    receipt: Path | None = None,
    earlier: dict[str, RefreshedTview] | None = None,
) -> int:
    """Bring them, telling and recording each as it ends."""
    from pgtv.reports.refresh import document, line
    from pgtv.rows.bring import bring, exit_code

    rows = {t.label: _estimate(snapshot, t) for t in chosen}
    ended: list[Brought] = []

    def written() -> RefreshDocument:
        return document(snapshot, apply_, ended, (earlier or {}).values())

    def tell(one: Brought) -> None:
        ended.append(one)
        if receipt:
            _write(receipt, written())
        if fmt == "text":
            click.echo(line(one, rows[one.tview]))
            if one.hint:
                click.echo(f"hint: {one.hint}", err=True)

    if receipt:
        _begin(receipt)
        _write(receipt, written())
    bring(target, snapshot, chosen, apply=apply_, pace=pace, jobs=jobs, named=keys, on_end=tell)
    if fmt == "json":
        click.echo(json.dumps(written(), ensure_ascii=False, indent=2))
    if not apply_ and any(b.differing for b in ended):
        click.echo("nothing was written; --apply does it", err=True)
    return exit_code(ended) if snapshot.extension.installed else Exit.UNKNOWN


def _rows(
    report: Path | None, snapshot: Snapshot
) -> dict[int, tuple[tuple[str | None, ...], ...]] | None:
    """The rows that a report names, by table; tells what it leaves out."""
    if report is None:
        return None
    from pgtv.rows.named import load

    found = load(report, snapshot)
    for label, here, all_ in found.short:
        click.echo(f"{label}: the report names {here:,} of {all_:,} rows that differed", err=True)
    if not found.keys:
        click.echo("the report names no row that differs", err=True)
    return found.keys


def _estimate(snapshot: Snapshot, tview: Tview) -> float:
    relation = snapshot.by_oid.get(tview.table_oid)
    return relation.reltuples if relation else -1.0


def _begin(receipt: Path) -> None:
    """Open the receipt before anything is written: rows cannot be taken back for want of a folder."""
    try:
        receipt.touch(mode=0o600)
    except OSError as e:
        raise UsageError(f"cannot write {receipt}: {e.strerror or e}") from None


def _write(receipt: Path, document: RefreshDocument) -> None:
    from pgtv.plan import save

    save(json.dumps(document, ensure_ascii=False, indent=2) + "\n", receipt)


def _earlier(receipt: Path, snapshot: Snapshot) -> dict[str, RefreshedTview]:
    """Entries of the TVIEWs that an earlier run of this receipt finished. Raises UsageError."""
    from pgtv.reports.refresh import SCHEMA, finished

    if not receipt.exists():
        return {}
    try:
        raw = json.loads(receipt.read_text(encoding="utf-8"))
        if raw.get("schema") != SCHEMA or not raw["applied"]:
            raise UsageError(f"{receipt} is no receipt of an applied refresh", "name another file")
        if raw["database_oid"] != snapshot.server.database_oid:
            raise UsageError(f"{receipt} is of another database: {raw['database']}")
        return finished(raw)
    except OSError as e:
        raise UsageError(f"cannot read {receipt}: {e.strerror or e}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{receipt} is a damaged receipt", "name another file") from None


def _unfinished(
    snapshot: Snapshot, chosen: list[Tview], earlier: dict[str, RefreshedTview]
) -> list[Tview]:
    """Those not finished, and all that read one of them: it was compared with wrong rows then."""
    from pgtv.graph.edges import edges

    left = [t.table_oid for t in chosen if t.label not in earlier]
    again = {t.table_oid for t in edges(snapshot).affected(left)}
    return [t for t in chosen if t.table_oid in again]


def _rebuild(target: Target, snapshot: Snapshot, chosen: list[Tview], apply_: bool) -> int:
    """The extension's own refresh of each TVIEW that no other refresh reaches."""
    from pgtv.catalog.dialects import named
    from pgtv.graph.edges import edges

    dialect = named(snapshot.extension.generation)
    graph = edges(snapshot)
    statements = [dialect.refresh(t.label) for t, _ in graph.covering(chosen)]
    if not apply_:
        click.echo("\n".join(["SET lock_timeout = '2s';", *statements]))
        return Exit.WARNING
    with connected(target, read_only=False) as connection:
        for statement in statements:
            click.echo(statement)
            connection.execute(statement.encode())
    return Exit.HEALTHY
