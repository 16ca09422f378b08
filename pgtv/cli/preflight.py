"""`pgtv preflight dump|promote|upgrade`: what an operation would do to TVIEWs, before it is done."""

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
from pgtv.cli.paths import EXISTING_FOLDER, FILE, PATH
from pgtv.errors import Exit, UsageError
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot
    from pgtv.lifecycle.verdict import Verdict

FORMAT = click.option(
    "--format", "fmt", type=click.Choice(["human", "json"]), default="human", show_default=True,
    help="How to print it.",
)  # fmt: skip


@click.group()
def preflight() -> None:
    """Know before a restore, a promotion or an upgrade what it would do to TVIEWs."""


def _answer(verdict: Verdict, fmt: str, output: Path | None) -> int:
    from pgtv.reports import preflight as report

    text = report.document(verdict) if fmt == "json" else report.human(verdict, width())
    write_output(text, output)
    return verdict.exit


@preflight.command()
@click.argument("file", type=PATH)
@click.option(
    "--snapshot", "before", type=FILE, metavar="SNAPSHOT",
    help="A snapshot of the database that was dumped, by default the one beside FILE: says which "
    "TVIEWs the dump lacks.",
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
    from pgtv.lifecycle.restore import dump_contents
    from pgtv.lifecycle.restore import preflight as preflight_dump
    from pgtv.lifecycle.restore.beside import beside

    before = before or beside(file)
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
    "--primary", metavar="CONNINFO|SNAPSHOT",
    help="The primary, or a snapshot of it taken just before: prepared transactions, slots, WAL "
    "written, timeline.",
)  # fmt: skip
@snapshot_option
@FORMAT
@output_option
def promote(
    target: Target, primary: str | None, source: Path | None, fmt: str, output: Path | None
) -> int:
    """Say what promoting this standby now would lose or must rebuild.

    Connected to a primary: what its standbys would lose. Nothing is written, and nothing is promoted.

    Exit codes: 0 nothing is lost, 1 work is named, 2 it would hurt, 3 cannot tell.
    """
    from pgtv.lifecycle.promote import preflight as preflight_promote

    # the primary first: what it writes while the standby is looked at does not count as missing
    other = _primary(target, primary) if primary else None
    return _answer(preflight_promote.judge(look(target, source), other), fmt, output)


def _primary(target: Target, text: str) -> Snapshot:
    """A snapshot from the file of that name, else one taken now by that conninfo."""
    from dataclasses import replace

    from pgtv.catalog import codec

    if "=" not in text and "://" not in text:
        return codec.load(Path(text))
    return look(replace(target, dbname=text, host=None, port=None, user=None, password=None), None)


@preflight.command()
@connection_options
@click.option(
    "--to", type=click.IntRange(16, 99), metavar="MAJOR",
    help="PostgreSQL major to upgrade to; by default the newest with a release of the extension.",
)  # fmt: skip
@click.option(
    "--new-bindir", type=EXISTING_FOLDER, metavar="DIR",
    help="Programs of the new server (its pg_config --bindir), on this machine.",
)  # fmt: skip
@click.option(
    "--new-datadir", type=EXISTING_FOLDER, metavar="DIR",
    help="The new data directory, once initdb made it; needs --new-bindir.",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(["copy", "clone", "link", "swap"]), default="copy", show_default=True,
    help="How pg_upgrade will carry files over.",
)  # fmt: skip
@click.option(
    "--before", type=FILE, metavar="SNAPSHOT",
    help="The snapshot that attaching will use: whether it is still true.",
)  # fmt: skip
@click.option(
    "--log", "log", type=PATH, metavar="FILE",
    help="Instead: tell from the logs of a pg_upgrade that died what to do now, without a server.",
)  # fmt: skip
@snapshot_option
@FORMAT
@output_option
def upgrade(
    target: Target, to: int | None, new_bindir: Path | None, new_datadir: Path | None, mode: str,
    before: Path | None, log: Path | None, source: Path | None, fmt: str, output: Path | None,
) -> int:  # fmt: skip
    """Go through what a pg_upgrade needs, with the state of each point.

    With --log: how far a pg_upgrade came that died, which server to start, and whether there is a way
    back. FILE is the folder pg_upgrade_output.d, a log in it, or what pg_upgrade printed.

    Exit codes: 0 nothing is left to do, 1 something is, 2 it would fail or lose something, 3 something
    could not be seen. With --log: 0 it did not die, 1 start the old server, 2 it must not be started,
    3 cannot tell.
    """
    from pgtv.errors import UsageError

    if log is not None:
        from pgtv.lifecycle.upgrade import died as upgrade_died
        from pgtv.lifecycle.upgrade import log as upgrade_log

        if source or to or new_bindir or new_datadir or before:
            raise UsageError("--log is read alone", "leave the other options out")
        return _answer(upgrade_died.judge(upgrade_log.read(log), str(log)), fmt, output)
    if new_datadir and not new_bindir:
        raise UsageError("--new-datadir needs --new-bindir", "its programs are asked about it")
    from pgtv.cli import preflight_asking
    from pgtv.lifecycle.upgrade import preflight as preflight_upgrade
    from pgtv.reports import checklist
    from pgtv.reports import preflight as report

    now = look(target, source)
    asked = preflight_asking.question(target, now, source is None, to, mode, before)
    asked = preflight_asking.with_new(asked, new_bindir, new_datadir)
    verdict = preflight_upgrade.judge(now, asked)
    text = report.document(verdict) if fmt == "json" else checklist.human(verdict, width())
    write_output(text, output)
    return verdict.exit


@preflight.command()
@connection_options
@snapshot_option
@click.option(
    "-1", "--single-transaction", "single", is_flag=True,
    help="Judge each file as one transaction, as psql -1 and most migration tools run it.",
)  # fmt: skip
@click.option(
    "--search-path", "path", default="public", show_default=True, metavar="SCHEMAS",
    help="Where names without a schema are looked for, until a file sets its own.",
)  # fmt: skip
@click.option(
    "--format", "fmt", type=click.Choice(["human", "json", "github"]), default="human",
    show_default=True, help="How to print it.",
)  # fmt: skip
@output_option
@click.argument("files", nargs=-1, metavar="FILE...", type=PATH)
def migration(
    target: Target, source: Path | None, single: bool, path: str, fmt: str, output: Path | None,
    files: tuple[Path, ...],
) -> int:  # fmt: skip
    """Say what SQL files would do to TVIEWs: break, block, rebuild, leave stale; and a safer order.

    Nothing of them is run. A folder stands for all *.sql below it that git does not ignore, - for
    standard input; several files are judged one after the other. What cannot be followed (SQL that is
    put together at run time, other files, functions) is UNKNOWN.

    Exit codes: 0 nothing hurts, 1 somebody waits or work is left, 2 a statement fails, writes would, or
    rows would be wrong, 3 cannot tell.
    """
    from pgtv.cli.lint import read_files
    from pgtv.migration.judge import judge
    from pgtv.reports import migration as report

    if not files:
        raise UsageError("no file was given", "pgtv preflight migration FILE…, a folder, or -")
    sources, failed = read_files(files)
    snapshot = look(target, source)
    place = str(source) if source else f"{snapshot.server.database} on {snapshot.server.host}"
    count = len(snapshot.tviews)
    against = f"{place} ({count} TVIEW{'' if count == 1 else 's'})"
    schemas = [p.strip().strip('"') for p in path.split(",") if p.strip()]
    judged = judge(sources, snapshot, against, path=schemas, single=single)
    write_output(
        report.document(judged) if fmt == "json"
        else report.github(judged) if fmt == "github"
        else report.human(judged, width()),
        output,
    )  # fmt: skip
    if failed and judged.exit is not Exit.CRITICAL:
        return Exit.UNKNOWN
    return judged.exit
