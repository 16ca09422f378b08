"""`pgtv rehearse upgrade`: an upgrade on throwaway servers, from a dump or a base backup."""

from __future__ import annotations

from pathlib import Path

import click

from pgtv.cli.options import output_option, width, write_output
from pgtv.cli.paths import EXISTING_FOLDER
from pgtv.cli.throwaway import backup_options, clean_up_when_ended, page_option
from pgtv.session import Target


@click.command()
@click.argument("source")
@click.option(
    "--to", type=click.IntRange(16, 99), multiple=True, metavar="MAJOR",
    help="PostgreSQL major to upgrade to; repeated, one after the other.",
)  # fmt: skip
@click.option(
    "--to-extension", "release", metavar="RELEASE",
    help="Update the extension in place to this release, before any --to.",
)  # fmt: skip
@click.option(
    "--old-bindir", type=EXISTING_FOLDER, metavar="DIR",
    help="Programs of the server that SOURCE comes from (pg_config --bindir).",
)  # fmt: skip
@click.option(
    "--new-bindir", "new_bindirs", type=EXISTING_FOLDER,
    metavar="DIR", multiple=True, help="Programs of a server to upgrade to; may be repeated.",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(["copy", "link", "clone"]), default="copy", show_default=True,
    help="How pg_upgrade carries files over.",
)  # fmt: skip
@backup_options
@page_option
@output_option
@click.option("--keep", is_flag=True, help="Leave the servers' data where they are, stopped.")
@click.option("-q", "--quiet", is_flag=True, help="No lines of progress.")
def upgrade(
    source: str,
    to: tuple[int, ...],
    release: str | None,
    old_bindir: Path | None,
    new_bindirs: tuple[Path, ...],
    mode: str,
    roles: Path | None,
    superuser: str,
    temp: Path,
    fmt: str,
    output: Path | None,
    keep: bool,
    quiet: bool,
) -> int:
    """Rehearse an upgrade from SOURCE: a dump, a base backup, or 'dbname=…' of a running server.

    Restores it, detaches, runs pg_upgrade (--check first), attaches, verifies against before, all on
    servers of its own, and says how long each phase took. A running database is dumped for it, which
    only reads.

    Exit codes: 0 it works and everything is as before, 1 something is other than before, 2 it does
    not work, 3 it could not be tried.
    """
    from pgtv.errors import UsageError
    from pgtv.lifecycle.upgrade.rehearse import Wish, rehearse
    from pgtv.reports import rehearsals
    from pgtv.shown import printable

    if not to and not release:
        raise UsageError(
            "nothing to upgrade to", "name a major: --to 18, or --to-extension RELEASE"
        )
    clean_up_when_ended()

    def say(line: str) -> None:
        if not quiet:
            click.echo(printable(line), err=True)

    done = rehearse(
        Wish(
            _source(source), to, release, mode, roles and roles.absolute(),
            old_bindir and old_bindir.absolute().parent,
            tuple(d.absolute().parent for d in new_bindirs), temp, superuser, keep,
        ),
        say,
    )  # fmt: skip
    if fmt == "human":
        text = rehearsals.human(done, width())
    else:
        text = rehearsals.document(done) if fmt == "json" else rehearsals.html(done)
    write_output(text, output)
    return done.exit


def _source(text: str) -> Path | Target:
    """A path, unless it reads as libpq's connection strings do and no such file is there."""
    path = Path(text)
    if path.exists() or not ("=" in text or "://" in text):
        return path.absolute()
    return Target(text)
