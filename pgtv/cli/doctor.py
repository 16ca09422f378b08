"""`pgtv doctor`: look, examine, report; writes nothing."""

from __future__ import annotations

from pathlib import Path

import click

from pgtv.cli.options import color_wanted, connection_options, look, snapshot_option, width
from pgtv.errors import Exit, UsageError
from pgtv.session import Target


@click.command()
@connection_options
@snapshot_option
@click.option("--only", multiple=True, metavar="CHECK", help="Only this check or group.")
@click.option("--skip", multiple=True, metavar="CHECK", help="Not this check or group.")
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["human", "json"]),
    default="human",
    show_default=True,
    help="How to print the findings.",
)
@click.option("--list", "list_", is_flag=True, help="List the checks and stop.")
def doctor(
    target: Target,
    source: Path | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    fmt: str,
    list_: bool,
) -> int:
    """Find what is wrong, what it affects and what cures it."""
    from pgtv.checks.examine import examine
    from pgtv.checks.registry import select

    checks = select(only, skip)
    if list_:
        for check in checks:
            click.echo(f"{check.id:32} {check.group:12} {check.severity:8} {check.title}")
        return Exit.HEALTHY
    if not checks:
        raise UsageError("no check is left to run", "see: pgtv doctor --list")
    examination = examine(look(target, source), checks)
    if fmt == "json":
        from pgtv.reports import json as report

        click.echo(report.render(examination), nl=False)
    else:
        from pgtv.reports import human

        click.echo(human.render(examination, width=width(), color=color_wanted()), nl=False)
    return examination.exit
