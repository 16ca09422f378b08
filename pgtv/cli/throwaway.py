"""What the commands that make throwaway servers have in common: options, and how they are stopped."""

from __future__ import annotations

from pathlib import Path

import click

from pgtv.cli.options import F
from pgtv.cli.paths import FILE, FOLDER
from pgtv.cluster.place import VARIABLE, place
from pgtv.signals import as_interruption


def clean_up_when_ended() -> None:
    """From now on SIGTERM ends this command as Ctrl-C does, so that its servers are removed."""
    click.get_current_context().with_resource(as_interruption())


def backup_options(command: F) -> F:
    """--roles and -U (given as `superuser`): who a restored backup belongs to; --temp."""
    for option in (
        click.option(
            "--temp", type=FOLDER, default=lambda: Path(place()), metavar="DIR",
            show_default=f"${VARIABLE}, or /tmp",
            help="Where throwaway servers have their data; a short path.",
        ),
        click.option(
            "-U", "--username", "superuser", default="postgres", show_default=True, metavar="ROLE",
            help="A superuser that a base backup has.",
        ),
        click.option(
            "--roles", type=FILE, metavar="FILE",
            help="What pg_dumpall --roles-only wrote; else a dump's roles are made as plain ones.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def page_option(command: F) -> F:
    """--format human, json or html, given as `fmt`."""
    return click.option(
        "--format", "fmt", type=click.Choice(["human", "json", "html"]), default="human",
        show_default=True, help="How to print it.",
    )(command)  # fmt: skip
