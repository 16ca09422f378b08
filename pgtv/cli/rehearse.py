"""`pgtv rehearse upgrade`: an upgrade on throwaway servers, from a dump or a base backup.

`restore` is in a module of its own, which is imported at the end.
"""

from __future__ import annotations

import signal
from pathlib import Path

import click

from pgtv.cli.options import output_option, width, write_output
from pgtv.session import Target


@click.group()
def rehearse() -> None:
    """Do it on throwaway servers first: measured, verified, and nothing of yours touched."""


def stop_as_by_interrupt(*_: object) -> None:
    """A signal's handler: servers are removed as after Ctrl-C."""
    raise KeyboardInterrupt


@rehearse.command()
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
    "--old-bindir", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Programs of the server that SOURCE comes from (pg_config --bindir).",
)  # fmt: skip
@click.option(
    "--new-bindir", "new_bindirs", type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR", multiple=True, help="Programs of a server to upgrade to; may be repeated.",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(["copy", "link", "clone"]), default="copy", show_default=True,
    help="How pg_upgrade carries files over.",
)  # fmt: skip
@click.option(
    "--roles", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="What pg_dumpall --roles-only wrote; else a dump's roles are made as plain ones.",
)  # fmt: skip
@click.option(
    "-U", "--username", "superuser", default="postgres", show_default=True, metavar="ROLE",
    help="A superuser that a base backup has.",
)  # fmt: skip
@click.option(
    "--temp", type=click.Path(file_okay=False, path_type=Path), default=Path("/tmp"),  # noqa: S108
    show_default=True, metavar="DIR", help="Where throwaway servers have their data; a short path.",
)  # fmt: skip
@click.option(
    "--format", "fmt", type=click.Choice(["human", "json", "html"]), default="human",
    show_default=True, help="How to print it.",
)  # fmt: skip
@output_option
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
) -> int:
    """Rehearse an upgrade from SOURCE: a dump, a base backup, or 'dbname=…' of a running server.

    Restores it, detaches, runs pg_upgrade (--check first), attaches, verifies against before, all on
    servers of its own, and says how long each phase took. A running database is dumped for it, which
    only reads.

    Exit codes: 0 it works and everything is as before, 1 something is other than before, 2 it does
    not work, 3 it could not be tried.
    """
    from pgtv.errors import UsageError
    from pgtv.lifecycle.rehearsal_upgrade import Wish, rehearse
    from pgtv.reports import rehearsals

    if not to and not release:
        raise UsageError(
            "nothing to upgrade to", "name a major: --to 18, or --to-extension RELEASE"
        )
    signal.signal(signal.SIGTERM, stop_as_by_interrupt)  # servers are removed as after Ctrl-C
    done = rehearse(
        Wish(
            _source(source), to, release, mode, roles and roles.absolute(),
            old_bindir and old_bindir.absolute().parent,
            tuple(d.absolute().parent for d in new_bindirs), temp, superuser,
        )
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


from pgtv.cli import rehearse_restore  # noqa: E402, F401  (registers itself)
