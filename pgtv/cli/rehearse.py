"""`pgtv rehearse`: what is tried on throwaway servers before it is done for real."""

from __future__ import annotations

import click

from pgtv.cli.rehearse_restore import restore
from pgtv.cli.rehearse_upgrade import upgrade


@click.group()
def rehearse() -> None:
    """Do it on throwaway servers first: measured, verified, and nothing of yours touched."""


rehearse.add_command(restore)
rehearse.add_command(upgrade)
