"""`pgtv preflight dump|promote`: what an operation would do to TVIEWs, before it is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import (
    connection_options,
    look,
    output_option,
    snapshot_option,
    width,
    write_output,
)
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.lifecycle.verdict import Verdict

FILE = click.Path(path_type=Path)
FORMAT = click.option(
    "--format", "fmt", type=click.Choice(["human", "json"]), default="human", show_default=True,
    help="How to print it.",
)  # fmt: skip


@click.group()
def preflight() -> None:
    """Know before a restore or a promotion what it would do to TVIEWs."""


def _answer(verdict: Verdict, fmt: str, output: Path | None) -> int:
    from pgtv.reports import preflight as report

    text = report.document(verdict) if fmt == "json" else report.human(verdict, width())
    write_output(text, output)
    return verdict.exit


@preflight.command()
@click.argument("file", type=FILE)
@click.option(
    "--snapshot", "before", type=click.Path(dir_okay=False, path_type=Path), metavar="SNAPSHOT",
    help="A snapshot of the database that was dumped: says which TVIEWs the dump lacks.",
)  # fmt: skip
@click.option(
    "--into", "database", default="restored", show_default=True, metavar="DB",
    help="The database that the printed lines restore into.",
)  # fmt: skip
@click.option(
    "--pg-restore", "program", metavar="PATH",
    help="The pg_restore to read archives with, at least as new as the dump; else one is looked for.",
)  # fmt: skip
@FORMAT
@output_option
def dump(
    file: Path, before: Path | None, database: str, program: str | None, fmt: str,
    output: Path | None,
) -> int:  # fmt: skip
    """Judge whether TVIEWs come back from the dump FILE, without a server.

    FILE is what pg_dump wrote: custom, directory, tar, or plain SQL (gzip too). Names what is missing
    and prints the lines that restore it best.

    Exit codes: 0 restores registered and live, 1 restores with work named, 2 would lose something,
    3 cannot tell.
    """
    from pgtv.lifecycle import dump_contents, preflight_dump

    snapshot = None
    if before:
        from pgtv.catalog import codec

        snapshot = codec.load(before)
    contents = dump_contents.read(file, program)
    held = str(before) if before else None
    return _answer(preflight_dump.judge(contents, str(file), snapshot, held, database), fmt, output)


@preflight.command()
@connection_options
@click.option(
    "--primary", "before", type=click.Path(dir_okay=False, path_type=Path), metavar="SNAPSHOT",
    help="A snapshot of the primary, taken just before: prepared transactions, slots, WAL written.",
)  # fmt: skip
@snapshot_option
@FORMAT
@output_option
def promote(
    target: Target, before: Path | None, source: Path | None, fmt: str, output: Path | None
) -> int:
    """Say what promoting this standby now would lose or must rebuild.

    Connected to a primary: what its standbys would lose. Nothing is written, and nothing is promoted.

    Exit codes: 0 nothing is lost, 1 work is named, 2 it would hurt, 3 cannot tell.
    """
    from pgtv.catalog import codec
    from pgtv.lifecycle import preflight_promote

    primary = codec.load(before) if before else None
    return _answer(preflight_promote.judge(look(target, source), primary), fmt, output)
