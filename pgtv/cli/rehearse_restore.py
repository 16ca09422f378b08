"""`pgtv rehearse restore`: a backup restored on a throwaway server, proven, and certified."""

from __future__ import annotations

from pathlib import Path

import click

from pgtv.cli.options import width
from pgtv.cli.paths import FILE, FOLDER, PATH
from pgtv.cli.throwaway import backup_options, clean_up_when_ended, page_option


@click.command()
@click.argument("backup", type=PATH)
@click.option(
    "--before", type=FILE, metavar="SNAPSHOT",
    help="A snapshot of the source, to hold the restore against; by default the one beside BACKUP.",
)  # fmt: skip
@click.option(
    "--critical", multiple=True, metavar="TVIEW",
    help="Prove these first, with what they read; may be repeated, or several with commas.",
)  # fmt: skip
@click.option(
    "--rto", default="1h", show_default=True, metavar="TIME",
    help="How long it may take until everything is proven.",
)  # fmt: skip
@click.option(
    "--rpo", default="24h", show_default=True, metavar="TIME",
    help="How old the restored rows may be.",
)  # fmt: skip
@click.option(
    "--archive", type=FOLDER, metavar="DIR",
    help="Replay WAL archived to this folder after a base backup, to its end or --target-time.",
)  # fmt: skip
@click.option(
    "--target-time", "until", metavar="TIMESTAMP",
    help="With --archive: the moment to recover to, as PostgreSQL's recovery_target_time.",
)  # fmt: skip
@click.option(
    "--database",
    metavar="DB",
    help="The database of a base backup to prove, where several have TVIEWs.",
)
@click.option(
    "--bindir", type=FOLDER, metavar="DIR",
    help="Programs of the server to restore into, with the extension (pg_config --bindir).",
)  # fmt: skip
@click.option(
    "--preload", multiple=True, metavar="LIBRARY",
    help="Preload this library, too; may be repeated. Only the extension's is otherwise.",
)  # fmt: skip
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N",
    help="Jobs of pg_restore.",
)  # fmt: skip
@backup_options
@click.option(
    "-o", "--output", "folder", type=FOLDER, metavar="DIR",
    help="Write the certificate there: NAME-DATE.certificate.json and .html.",
)  # fmt: skip
@page_option
@click.option(
    "--keep", is_flag=True, help="Leave the restored data where it is, the server stopped."
)
@click.option("-q", "--quiet", is_flag=True, help="No lines of progress.")
def restore(
    backup: Path,
    before: Path | None,
    critical: tuple[str, ...],
    rto: str,
    rpo: str,
    archive: Path | None,
    until: str | None,
    roles: Path | None,
    database: str | None,
    superuser: str,
    bindir: Path | None,
    preload: tuple[str, ...],
    jobs: int,
    temp: Path,
    folder: Path | None,
    fmt: str,
    keep: bool,
    quiet: bool,
) -> int:
    """Restore BACKUP into a throwaway server, prove it, and certify that.

    BACKUP is what pg_dump wrote (custom, directory, tar, plain, gzip too) or pg_basebackup (plain or
    tar). Registrations that did not come back and rows that are wrong are cured by the documented
    commands, and measured. Then every row of every TVIEW is compared with its definition, a write to
    each base table is tried and rolled back, doctor looks, and the source's snapshot is held against
    it. The backup is only read, and the server reaches nobody.

    Exit codes: 0 proven within the targets, 1 proven with remarks, 2 not proven, 3 cannot tell or
    could not be tried.
    """
    from pgtv.catalog.dialects.base import EXTENSION
    from pgtv.cli.verify import duration
    from pgtv.errors import UsageError
    from pgtv.lifecycle.restore.rehearse import rehearse as run
    from pgtv.lifecycle.restore.stage import Wish
    from pgtv.reports import certificate as report

    if until and not archive:
        raise UsageError("--target-time needs --archive DIR", "name where WAL was archived to")
    wish = Wish(
        backup, duration(rto), duration(rpo), bindir, before, critical, temp.absolute(), keep, jobs,
        roles, database, superuser, archive, until, (EXTENSION, *preload),
    )  # fmt: skip
    clean_up_when_ended()

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    done = run(wish, say)
    if folder:
        for path in report.write(done, folder):
            say(f"wrote {path}")
    text = {"json": report.document, "html": report.html}.get(fmt)
    click.echo(text(done) if text else report.human(done, width()), nl=False)
    return done.exit
