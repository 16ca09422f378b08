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
    from pgtv.rows.bring import Brought


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
    "--batch",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Rows a transaction.",
)
@click.option("--max-rate", type=click.FloatRange(min=0.1), help="Rows a second at most.")
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
    "--receipt", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write what was done, with the keys written, to this file.",
)  # fmt: skip
def refresh(
    target: Target,
    tviews: tuple[str, ...],
    exclude: tuple[str, ...],
    apply_: bool,
    strategy: str,
    batch: int,
    max_rate: float | None,
    barrier_timeout: float,
    fmt: str,
    receipt: Path | None,
) -> int:
    """Make rows equal to their definitions, dependents included; compares only without --apply."""
    from pgtv.catalog.collect import collect
    from pgtv.catalog.dialects import named
    from pgtv.graph.select import select
    from pgtv.rows.bring import bring, exit_code, with_dependents
    from pgtv.rows.merge import Pace

    with connected(target) as connection:
        snapshot = collect(connection)
    if not named(snapshot.extension.generation).acts and apply_:
        raise UsageError("pgtv only looks at catalogs of this generation")
    chosen = with_dependents(snapshot, select(snapshot, tviews, exclude))
    left_out = {t.label for t in select(snapshot, exclude, ())} if exclude else set()
    chosen = [t for t in chosen if t.label not in left_out]
    if not chosen:
        click.echo("there is no TVIEW to refresh", err=True)
    if strategy == "rebuild":
        return _rebuild(target, snapshot, chosen, apply_)

    def tell(one: Brought) -> None:
        if fmt == "text":
            click.echo(_line(one))
            if one.hint:
                click.echo(f"hint: {one.hint}", err=True)

    if receipt:
        _begin(receipt)
    ended = bring(
        target, snapshot, chosen, apply=apply_,
        pace=Pace(batch=batch, barrier_timeout=barrier_timeout, rate=max_rate), on_end=tell,
    )  # fmt: skip
    document = {
        "schema": "pgtv.refresh/1",
        "database": snapshot.server.database,
        "applied": apply_,
        "tviews": [_document(b) for b in ended],
    }
    if receipt:
        receipt.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    if fmt == "json":
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    if not apply_ and any(b.differing for b in ended):
        click.echo("nothing was written; --apply does it", err=True)
    return exit_code(ended) if snapshot.extension.installed else Exit.UNKNOWN


def _begin(receipt: Path) -> None:
    """Open the receipt before anything is written: rows cannot be taken back for want of a folder."""
    try:
        receipt.touch(mode=0o600)
    except OSError as e:
        raise UsageError(f"cannot write {receipt}: {e.strerror or e}") from None


def _line(b: Brought) -> str:
    m = b.merged
    text = f"{b.end:10} {b.tview}"
    if b.differing:
        one = b.differing == 1
        verb = "differed" if m.batches else ("differs" if one else "differ")
        text += f"  {b.differing:,} {'row' if one else 'rows'} {verb}"
    if m.written:
        text += (
            f": {m.inserted:,} inserted, {m.updated:,} changed, {m.deleted:,} deleted"
            f" in {m.batches} {'batch' if m.batches == 1 else 'batches'}"
            f" (longest {m.longest_batch:.1f} s),"
            f" {m.waited:.1f} s waited for writers"
        )
    return text + f"  {b.seconds:.1f} s" + (f"\n           {b.reason}" if b.reason else "")


def _document(b: Brought) -> dict[str, object]:
    m = b.merged
    return {
        "tview": b.tview, "end": b.end.value, "differing": b.differing, "inserted": m.inserted,
        "updated": m.updated, "deleted": m.deleted, "batches": m.batches, "rounds": m.rounds,
        "retries": m.retries, "seconds": b.seconds, "waited_seconds": round(m.waited, 3),
        "longest_batch_seconds": round(m.longest_batch, 3), "reason": b.reason,
        "keys": [list(k) for k in m.keys],
        "keys_complete": len(m.keys) == m.written or len(m.keys) >= b.differing,
    }  # fmt: skip


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
