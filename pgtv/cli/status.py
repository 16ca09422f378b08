"""`pgtv status`: one line a TVIEW."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import click

from pgtv.cli.options import (
    color_wanted,
    connection_options,
    look,
    output_option,
    snapshot_option,
    write_output,
)
from pgtv.session import Target


@click.command()
@connection_options
@snapshot_option
@click.argument("tviews", metavar="[TVIEW]...", nargs=-1)
@click.option("--exclude", multiple=True, metavar="TVIEW", help="Leave these out; may be repeated.")
@click.option(
    "--format", "fmt", type=click.Choice(["human", "json"]), default="human", show_default=True,
    help="How to print it.",
)  # fmt: skip
@output_option
def status(
    target: Target,
    source: Path | None,
    tviews: tuple[str, ...],
    exclude: tuple[str, ...],
    fmt: str,
    output: Path | None,
) -> int:
    """Show each TVIEW's state in one line, the worst first.

    TVIEW is a name or selector: tv_order, +tv_order (with what it reads), tv_order+ (with what reads
    it). States: broken (writes fail), stale (rows are wrong or will be), unknown, risk, ok. Rows and
    sizes are estimates; a dash or ? is what is not known. Exit codes: 0 ok, 1 warning, 2 critical, 3
    unknown.
    """
    from pgtv.checks.examine import examine
    from pgtv.checks.registry import all_checks
    from pgtv.reports import status as report
    from pgtv.reports import status_text

    snapshot = look(target, source, meanwhile=all_checks)
    if tviews or exclude:
        from pgtv.graph.select import select

        chosen = select(snapshot, tviews, exclude)
    else:
        chosen = list(snapshot.tviews)
    found = report.status(examine(snapshot, all_checks().values()), chosen)
    if fmt == "json":
        text = json.dumps(report.document(found), ensure_ascii=False, indent=2) + "\n"
    else:
        text = status_text.render(found, _columns(output), color_wanted() and output is None)
    write_output(text, output)
    return found.exit


def _columns(output: Path | None) -> int | None:
    """Columns to fit into; None (cut nothing) for files and pipes, unless COLUMNS says otherwise."""
    if output is not None or not (sys.stdout.isatty() or os.environ.get("COLUMNS")):
        return None
    return max(60, shutil.get_terminal_size((100, 24)).columns)
