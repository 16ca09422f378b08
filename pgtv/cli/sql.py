"""`pgtv sql`: the files for psql alone, wherever pgtv was installed."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from pgtv import shipped
from pgtv.cli.options import width
from pgtv.errors import Exit, UsageError
from pgtv.shown import wrapped


def _complete(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [
        CompletionItem(n, help=shipped.about(n))
        for n in shipped.names()
        if n.startswith(incomplete)
    ]


@click.command()
@click.argument("name", required=False, shell_complete=_complete)
@click.option(
    "--path", is_flag=True, help="Print where the file is, for psql -f, instead of its text."
)
def sql(name: str | None, path: bool) -> int:
    """List the SQL files that need psql and nothing else, or print one.

    They are for hosts where pgtv cannot run, for cron, and for whoever wants to read first what will
    be done. NAME may be shortened to what comes after the slash.

    \b
    pgtv sql
    pgtv sql emergency/stop-writes | psql -X -d shop
    psql -X -d shop -v role=watcher -f "$(pgtv sql roles/looking --path)"
    """
    if name is None:
        if path:
            raise UsageError("--path is of one file: name it", "pgtv sql lists them")
        click.echo(_listed())
        return Exit.HEALTHY
    found = _found(name)
    click.echo(shipped.path(found) if path else shipped.text(found), nl=path)
    return Exit.HEALTHY


def _listed() -> str:
    names = shipped.names()
    column, fits = max(map(len, names)) + 2, width()
    return "\n".join(
        line
        for n in names
        for line in wrapped(shipped.about(n), fits, f"{n:<{column}}", " " * column)
    )


def _found(name: str) -> str:
    import difflib

    names = shipped.names()
    wanted = name.removesuffix(".sql")
    alike = [n for n in names if wanted in (n, n.partition("/")[2])]
    if len(alike) == 1:
        return alike[0]
    near = alike or difflib.get_close_matches(
        wanted, [*names, *(n.partition("/")[2] for n in names)]
    )
    raise UsageError(
        f"there is no file {name!r}",
        f"did you mean {' or '.join(near)}?" if near else "pgtv sql lists them",
    )
