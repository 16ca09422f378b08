"""`pgtv snapshot save|show|diff`: keep what was seen, read it again, compare it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import connection_options, look, output_option, width, write_output
from pgtv.cli.paths import FILE, FOLDER, PATH
from pgtv.cli.sizes import as_bytes
from pgtv.errors import Exit, UsageError
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot

FORMAT = click.option(
    "--format", "fmt", type=click.Choice(["human", "json"]), default="human", show_default=True,
    help="How to print it.",
)  # fmt: skip


@click.group()
def snapshot() -> None:
    """Save, show and compare snapshots."""


@snapshot.command()
@connection_options
@click.argument("file", type=FILE, required=False)
@click.option(
    "--dir", "folder", metavar="DIR", type=FOLDER,
    help="Save in DIR under a name made of database and time; DIR is created when missing.",
)  # fmt: skip
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N",
    help="With --dir: keep the newest N snapshots of this database, remove older ones.",
)  # fmt: skip
@click.option(
    "--beside", "backup", metavar="BACKUP", type=PATH,
    help="Save beside this dump or base backup, as BACKUP.snapshot.json, where it is looked for.",
)  # fmt: skip
def save(
    target: Target, file: Path | None, folder: Path | None, keep: int | None, backup: Path | None
) -> int:
    """Look at the database and save what was seen.

    FILE is written at once and whole, readable by you alone; `-` is stdout. An existing one is replaced
    only where that loses nothing: not a snapshot of TVIEWs that the database lacks now or has
    otherwise. Without FILE the name is made of the database and the time. For a daily timer:
    pgtv snapshot save --dir DIR --keep 30

    With --beside, right after a backup: `pgtv preflight dump` and `pgtv rehearse restore` find it
    there, and hold the backup against it.
    """
    from pgtv.catalog import archive, codec

    if backup is not None and (file is not None or folder is not None):
        raise UsageError("--beside tells where to save", "leave out FILE and --dir")
    if file is not None and folder is not None:
        raise UsageError("FILE and --dir exclude each other", "leave out one of them")
    if keep is not None and folder is None:
        raise UsageError(
            "--keep removes files, so it needs a directory of its own", "add --dir DIR"
        )
    taken = look(target, None)
    if str(file) == "-":
        click.echo(codec.dumps(taken), nl=False)
        return _seen(taken)
    path = file or archive.path_for(taken, folder or Path())
    if backup is not None:
        from pgtv.lifecycle.restore import beside as restore_beside

        restore_beside.check(backup, taken)
        path = restore_beside.path_for(backup)
    elif file is not None:  # beside a backup it follows that one, which has been replaced already
        archive.check_replacing(file, taken)
    if folder:
        archive.make(folder)
    codec.save(taken, path)
    click.echo(f"saved {path}: {len(taken.tviews)} TVIEWs", err=True)
    if folder and keep:
        kept = archive.prune(folder, taken, keep)
        for old in kept.removed:
            click.echo(f"removed {old}", err=True)
        if kept.refused:
            click.echo(f"pgtv: nothing was removed: {kept.refused}", err=True)
            return Exit.WARNING
    return _seen(taken)


def _seen(taken: Snapshot) -> int:
    """A snapshot without its TVIEWs is none: say so instead of exiting 0."""
    if gap := taken.gap("tviews"):
        click.echo(f"pgtv: the TVIEWs could not be seen: {gap.reason}", err=True)
        return Exit.UNKNOWN
    return Exit.HEALTHY


@snapshot.command()
@click.argument("file", type=FILE)
@FORMAT
@output_option
def show(file: Path, fmt: str, output: Path | None) -> int:
    """Show what the snapshot FILE holds (`-` is stdin)."""
    from pgtv.catalog import codec
    from pgtv.reports import snapshots
    from pgtv.shown import printable

    loaded = codec.load(file)
    write_output(
        codec.dumps(loaded)
        if fmt == "json"
        else printable(
            snapshots.render(loaded, "stdin" if str(file) == "-" else str(file), width())
        ),
        output,
    )
    return Exit.HEALTHY


@snapshot.command()
@connection_options
@click.argument("before", type=FILE)
@click.argument("after", type=FILE, required=False)
@click.option(
    "--room", callback=as_bytes, metavar="SIZE",
    help="Room that is left for data, such as 50GB, where pgtv cannot see the server's disk.",
)  # fmt: skip
@FORMAT
@output_option
def diff(
    target: Target,
    before: Path,
    after: Path | None,
    room: int | None,
    fmt: str,
    output: Path | None,
) -> int:
    """Compare two snapshots, or BEFORE with the database as it is now.

    By qualified name: OIDs, statistics and what lasts a moment do not count. Exit codes: 0 the same,
    1 different, 3 the same as far as could be compared.

    Of one database it also tells how each TVIEW grew, and where room is known (both snapshots were
    taken on the server's host, or --room) in how many days it is full: a straight line through two
    moments, and no difference.
    """
    from pgtv.catalog import codec
    from pgtv.catalog import diff as compare
    from pgtv.catalog.growth import growth
    from pgtv.reports import snapshots
    from pgtv.shown import printable

    old = codec.load(before)
    new = codec.load(after) if after else look(target, None)
    found = compare.diff(old, new)
    grown = growth(old, new, room)
    if room is not None and (grown is None or grown.no_rate):
        why = grown.no_rate if grown else "they are not of one database"
        raise UsageError(f"nothing tells when the room is full: {why}", "leave out --room")
    if fmt == "json":
        text = snapshots.dumps(snapshots.difference_document(found, old, new, grown))
    else:
        text = printable(snapshots.render_difference(found, old, new, width(), grown))
    write_output(text, output)
    if found.changes:
        return Exit.WARNING
    return Exit.UNKNOWN if found.not_compared else Exit.HEALTHY
