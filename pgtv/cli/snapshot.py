"""`pgtv snapshot save|show|diff`."""

from __future__ import annotations

from pathlib import Path

import click

from pgtv.cli.options import connection_options, look
from pgtv.errors import Exit
from pgtv.session import Target


@click.group()
def snapshot() -> None:
    """Save, show and compare snapshots."""


@snapshot.command()
@connection_options
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def save(target: Target, file: Path) -> int:
    """Look at the database and save what was seen in FILE."""
    from pgtv.catalog import codec

    codec.save(look(target, None), file)
    return Exit.HEALTHY
