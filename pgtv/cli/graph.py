"""`pgtv graph`: who reads whom, in which order, in what circles, and what a change reaches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgtv.cli.options import connection_options, look, snapshot_option
from pgtv.cli.paths import FILE
from pgtv.errors import Exit, UsageError
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot, Tview

F = TypeVar("F", bound=Callable[..., Any])


def _printing(*formats: str) -> Callable[[F], F]:
    """The options of a command that looks at a database or file and prints in one of `formats`."""

    def decorate(command: F) -> F:
        for option in (
            click.option(
                "-o", "--output", type=FILE, metavar="FILE",
                help="Write to FILE instead of standard output.",
            ),
            click.option(
                "--format", "fmt", type=click.Choice(formats), default=formats[0],
                show_default=True, help="How to print it.",
            ),
            snapshot_option,
            connection_options,
        ):  # fmt: skip
            command = option(command)
        return command

    return decorate


def _selection(command: F) -> F:
    command = click.option(
        "--exclude", multiple=True, metavar="TVIEW", help="Leave these out; the same selectors."
    )(command)
    return click.argument("tviews", nargs=-1, metavar="[TVIEW]...")(command)


def _chosen(
    target: Target, source: Path | None, tviews: tuple[str, ...], exclude: tuple[str, ...]
) -> tuple[Snapshot, list[Tview]]:
    from pgtv.graph.select import select

    snapshot = look(target, source)
    return snapshot, select(snapshot, tviews, exclude)


@click.group()
def graph() -> None:
    """Show who reads whom, the order of refreshing, cycles, and what a change reaches.

    TVIEWs are selected by name or entity; +tv_x adds all that it reads, tv_x+ all that read it,
    2+tv_x and tv_x+3 bound the steps. Several, or separated by commas, are a union.
    """


@graph.command()
@_printing("tree", "table", "json", "mermaid", "svg")
@_selection
def show(
    target: Target,
    source: Path | None,
    fmt: str,
    output: Path | None,
    tviews: tuple[str, ...],
    exclude: tuple[str, ...],
) -> int:
    """Show TVIEWs and what they read, down to the tables."""
    from pgtv.graph import dag, render
    from pgtv.graph.cycles import find_cycles
    from pgtv.graph.edges import edges

    snapshot, chosen = _chosen(target, source, tviews, exclude)
    drawn = _part(dag.build(snapshot), {t.table_oid for t in chosen})
    found = find_cycles(snapshot, edges(snapshot))
    if fmt == "svg":
        from itertools import pairwise

        from pgtv.graph import svg

        ring = frozenset((b, a) for c in found for a, b in pairwise(c.path))
        ring &= frozenset(drawn.edges)
        count = f"{len(chosen)} TVIEW{'' if len(chosen) == 1 else 's'}"
        text = svg.render(drawn, f"{snapshot.server.database}: {count}", ring)
    elif fmt == "json":
        text = render.as_json(drawn, cycles=[[snapshot.name_of(o) for o in c.path] for c in found])
    elif not chosen:
        text = "no TVIEW\n"
    else:
        text = {"tree": render.tree, "table": render.table, "mermaid": render.mermaid}[fmt](drawn)
    _write(text, output)
    return _warn_of_cycles(snapshot, chosen)


def _part(whole: Any, tviews: set[int]) -> Any:
    """The selected TVIEWs with what leads to them from tables; TVIEWs not selected are left out."""
    keep: set[int | str] = set()
    pending: list[int | str] = [n for n in tviews if n in whole]
    while pending:
        node = pending.pop()
        if node in keep:
            continue
        keep.add(node)
        pending += [
            n for n in whole.predecessors(node) if whole.nodes[n]["kind"] != "tview" or n in tviews
        ]
    return whole.subgraph(keep)


@graph.command()
@_printing("table", "json")
@_selection
def order(
    target: Target,
    source: Path | None,
    fmt: str,
    output: Path | None,
    tviews: tuple[str, ...],
    exclude: tuple[str, ...],
) -> int:
    """List TVIEWs so that each comes after those that it reads."""
    import json

    from pgtv.graph import render
    from pgtv.graph.edges import edges
    from pgtv.graph.select import tview_edges

    snapshot, chosen = _chosen(target, source, tviews, exclude)
    upstream, _ = tview_edges(edges(snapshot))
    levels: dict[int, int] = {}
    for tview in chosen:
        before = (levels[o] for o in upstream[tview.table_oid] if o in levels)
        levels[tview.table_oid] = 1 + max(before, default=0)
    chosen.sort(key=lambda t: levels[t.table_oid])
    if fmt == "json":
        steps = [{"name": t.label, "step": levels[t.table_oid]} for t in chosen]
        text = json.dumps({"schema": "pgtv.order/1", "order": steps}, ensure_ascii=False, indent=2)
        _write(text + "\n", output)
    else:
        _write(render.order(chosen, levels) if chosen else "no TVIEW\n", output)
    return _warn_of_cycles(snapshot, chosen)


@graph.command()
@_printing("table", "json")
def cycles(target: Target, source: Path | None, fmt: str, output: Path | None) -> int:
    """Find TVIEWs that read themselves, and the smallest cut. Exits 2 if there are any."""
    from pgtv.graph import render
    from pgtv.graph.cycles import find_cycles
    from pgtv.graph.edges import edges
    from pgtv.graph.select import require_seen

    snapshot = look(target, source)
    require_seen(snapshot)
    found = find_cycles(snapshot, edges(snapshot))
    if fmt == "json":
        _write(render.cycles_json(found, snapshot), output)
    elif found:
        _write(render.cycles(found, snapshot), output)
    else:
        _write(f"No cycle among {len(snapshot.tviews)} TVIEWs.\n", output)
    return Exit.CRITICAL if found else Exit.HEALTHY


@graph.command()
@_printing("table", "json")
@click.argument("name", metavar="TABLE[.COLUMN]")
def impact(target: Target, source: Path | None, fmt: str, output: Path | None, name: str) -> int:
    """Show which TVIEWs a change of a table, or of one column, reaches, and how.

    Rows are the server's estimates; rows per changed row take them as spread evenly.
    """
    from pgtv.graph import render
    from pgtv.graph.impact import impact as reached
    from pgtv.graph.impact import target as resolve
    from pgtv.graph.select import require_seen

    snapshot = look(target, source)
    require_seen(snapshot)
    relation, column = resolve(snapshot, name)
    found = reached(snapshot, relation, column)
    label = relation.qualified + (f".{_column(column)}" if column else "")
    text = render.impact_json if fmt == "json" else render.impact
    _write(text(found, snapshot, label), output)
    return Exit.HEALTHY


def _column(name: str) -> str:
    from pgtv.catalog.dialects.base import ident

    return name if name.isidentifier() and name == name.lower() else ident(name)


def _warn_of_cycles(snapshot: Snapshot, chosen: list[Tview]) -> int:
    """Exit code 2 and a line on stderr where a selected TVIEW is part of a cycle."""
    from pgtv.graph.cycles import describe, find_cycles
    from pgtv.graph.edges import edges

    names = {t.table_oid for t in chosen}
    found = [c for c in find_cycles(snapshot, edges(snapshot)) if names & set(c.members)]
    for cycle in found:
        click.echo(f"Circular dependency detected: {describe(cycle, snapshot)}", err=True)
    return Exit.CRITICAL if found else Exit.HEALTHY


def _write(text: str, output: Path | None) -> None:
    from pgtv.shown import printable

    text = printable(text)  # JSON and Mermaid hold no control character; the others hold names
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as e:
        raise UsageError(f"cannot write {output}: {e.strerror}") from None
    click.echo(f"wrote {output}", err=True)
