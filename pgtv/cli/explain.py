"""`pgtv explain`: a check, an SQLSTATE, a message, an early name; or one row of a TVIEW."""

from __future__ import annotations

import re
import sys

import click

from pgtv.cli.options import connection_options, width
from pgtv.errors import Exit, UsageError
from pgtv.session import Target

# `tv_order:42`, `"Sales Dept".tv_order:42`, `public."tv_O":a,b`; a message has a space after its colon
_ROW = re.compile(r'((?:(?:"(?:[^"]|"")+"|\w+)\.)?(?:"(?:[^"]|"")+"|tv_\w+)):(\S.*)', re.DOTALL)


def _texts(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Completion: checks and SQLSTATEs."""
    from pgtv.checks.registry import all_checks
    from pgtv.explain.texts import table

    known = [*all_checks(), *(s["code"] for s in table("sqlstates"))]
    return [k for k in known if k.startswith(incomplete)]


@click.command()
@connection_options
@click.argument("text", nargs=-1, shell_complete=_texts)
@click.option(
    "--format", "fmt", type=click.Choice(["human", "json"]), default="human", show_default=True,
    help="How to print it.",
)  # fmt: skip
def explain(target: Target, text: tuple[str, ...], fmt: str) -> int:
    """Tell what TEXT means here and what to type next.

    TEXT is a check's id, an SQLSTATE, a server's message (quote it, or give `-` and paste it to
    stdin), a name from an early release, or TVIEW:KEY for one row: where it comes from and whether
    it is right. Only TVIEW:KEY connects to a server.
    """
    asked = " ".join(text)
    if asked == "-" or (not asked and sys.stdin is not None and not sys.stdin.isatty()):
        from pgtv.stdin import standard_input

        # a server's log holds the encodings of all its databases
        asked = standard_input().decode("utf-8", "replace")
    asked = asked.strip()
    if not asked:
        raise UsageError("nothing to explain", "give a check, an SQLSTATE, a message or tv_x:KEY")
    if row := _ROW.fullmatch(asked):
        from pgtv.explain.row import run

        shown, code = run(target, row[1], row[2], fmt)
        click.echo(shown, nl=False)
        return int(code)
    from pgtv.explain import show, texts

    found = texts.find(asked)
    if not found:
        near = texts.nearest(asked)
        raise UsageError(
            f"nothing is known about {asked[:80]!r}",
            "nearest: " + "; ".join(near) if near else "checks: pgtv doctor --list",
        )
    click.echo(show.as_json(found) if fmt == "json" else show.as_text(found, width()), nl=False)
    return Exit.HEALTHY
