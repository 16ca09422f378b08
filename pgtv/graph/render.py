"""The graph as text: tree, table, JSON, Mermaid. Each gives a string that ends with a newline."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pgtv.catalog.model import Snapshot, Tview
from pgtv.graph.cycles import Cycle
from pgtv.graph.impact import Reached
from pgtv.shown import one_line, plural

if TYPE_CHECKING:
    from pgtv.graph.dag import Graph

SCHEMA = "pgtv.graph/1"
_KINDS = {"tview": "TVIEW", "matview": "materialized view"}


def about(rows: int | None) -> str:
    """`about 1,500 rows`; empty where nothing is known."""
    return "" if rows is None else f"about {rows:,} row{'' if rows == 1 else 's'}"


def tree(graph: Graph) -> str:
    """Each TVIEW that no other one here reads, and below it what it reads, down to the tables."""
    tops = [n for n in _by_name(graph) if _is_tview(graph, n) and not _read_here(graph, n)]
    if not tops:  # all of them in a ring
        tops = [n for n in _by_name(graph) if _is_tview(graph, n)][:1]
    lines: list[tuple[str, str]] = []
    shown: set[int | str] = set()
    left = [n for n in _by_name(graph) if _is_tview(graph, n)]
    for top in [*tops, *left]:
        if top in shown:
            continue
        if lines:
            lines.append(("", ""))
        lines.append((one_line(graph.nodes[top]["name"]), _what(graph, top)))
        lines += _branches(graph, top, "", shown, (top,))
    width = max((display_width(a) for a, _ in lines), default=0)
    return "".join(f"{a}{' ' * (width - display_width(a))}  {b}".rstrip() + "\n" for a, b in lines)


def _branches(
    graph: Graph, node: int | str, indent: str, shown: set[int | str], path: tuple[int | str, ...]
) -> Iterator[tuple[str, str]]:
    shown.add(node)
    reads = sorted(graph.predecessors(node), key=lambda n: _place(graph, n))
    partitions = [n for n in reads if graph.nodes[n]["kind"] == "partition"]
    if len(partitions) > 3:
        reads = [n for n in reads if n not in partitions]
    for i, read in enumerate(reads):
        last = i == len(reads) - 1 and not len(partitions) > 3
        stem = indent + ("└─ " if last else "├─ ")
        name, kind = one_line(graph.nodes[read]["name"]), graph.edges[read, node]["kind"]
        text = f"{stem}{kind} {name}"
        if graph.nodes[read]["kind"] == "partition":
            text = f"{stem}{name}"
        if read in path:
            yield text, "↺ cycle"
        elif read in shown and next(graph.predecessors(read), None) is not None:
            yield text, "see above"
        else:
            yield text, _what(graph, read)
            below = indent + ("   " if last else "│  ")
            yield from _branches(graph, read, below, shown, (*path, read))
    if len(partitions) > 3:
        yield f"{indent}└─ {len(partitions)} partitions", ""


def _what(graph: Graph, node: int | str) -> str:
    data = graph.nodes[node]
    kind = _KINDS.get(data["kind"], data["kind"])
    return ", ".join(p for p in (kind, about(data.get("rows"))) if p)


def _is_tview(graph: Graph, node: int | str) -> bool:
    return bool(graph.nodes[node]["kind"] == "tview")


def _read_here(graph: Graph, node: int | str) -> bool:
    return any(reader != node for reader in graph.successors(node))


def _by_name(graph: Graph) -> list[int | str]:
    return sorted(graph, key=lambda n: str(graph.nodes[n]["name"]))


def _place(graph: Graph, node: int | str) -> tuple[int, str]:
    kinds = ("table", "partition", "foreign table", "view", "matview", "function", "tview")
    return kinds.index(graph.nodes[node]["kind"]), str(graph.nodes[node]["name"])


def table(graph: Graph) -> str:
    """One line an edge: reader, how, what is read, by which columns."""
    lines = [("reader", "how", "reads", "columns")]
    for reader in sorted(graph, key=lambda n: (not _is_tview(graph, n), _place(graph, n))):
        for read in sorted(graph.predecessors(reader), key=lambda n: _place(graph, n)):
            if graph.nodes[read]["kind"] == "partition":
                continue
            data = graph.edges[read, reader]
            lines.append(
                (
                    str(graph.nodes[reader]["name"]),
                    data["kind"],
                    str(graph.nodes[read]["name"]),
                    ", ".join(sorted(data["columns"])),
                )
            )
    return columns(lines)


def columns(lines: Sequence[tuple[str, ...]], right: Collection[int] = ()) -> str:
    """Aligned columns, the first line a heading; `right` are set flush right."""
    lines = [tuple(one_line(cell) for cell in line) for line in lines]
    widths = [max(display_width(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ""
    for line in lines:
        cells = [
            " " * (w - display_width(c)) + c if i in right else c + " " * (w - display_width(c))
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        text += "  ".join(cells).rstrip() + "\n"
    return text


def display_width(text: str) -> int:
    """Columns on a terminal: wide letters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def as_json(graph: Graph, **more: Any) -> str:
    """Nodes and edges by qualified name; an edge leads from what is read to its reader."""
    names = {n: graph.nodes[n]["name"] for n in graph}
    document = {
        "schema": SCHEMA,
        "nodes": [
            {"name": names[n], "kind": graph.nodes[n]["kind"], "rows": graph.nodes[n].get("rows")}
            for n in _by_name(graph)
        ],
        "edges": [
            {
                "from": names[a],
                "to": names[b],
                "kind": d["kind"],
                "columns": {c: sorted(u) for c, u in sorted(d["columns"].items())},
                "sources": sorted(d["sources"]),
            }
            for a, b, d in sorted(graph.edges(data=True), key=lambda e: (names[e[0]], names[e[1]]))
        ],
        **more,
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def mermaid(graph: Graph) -> str:
    """A Mermaid flowchart, for Markdown."""
    ids = {n: f"n{i}" for i, n in enumerate(_by_name(graph))}
    shapes = {
        "tview": ("[[", "]]"),
        "view": ("(", ")"),
        "matview": ("[(", ")]"),
        "function": ("{{", "}}"),
    }
    lines = ["flowchart LR"]
    for node, short in ids.items():
        begin, end = shapes.get(graph.nodes[node]["kind"], ("[", "]"))
        lines.append(f'  {short}{begin}"{_mermaid_text(str(graph.nodes[node]["name"]))}"{end}')
    arrows = {"embeds": "==>|embeds|", "maps": "-.->|maps|"}
    for a, b in sorted(graph.edges, key=lambda e: (ids[e[0]], ids[e[1]])):
        lines.append(f"  {ids[a]} {arrows.get(graph.edges[a, b]['kind'], '-->')} {ids[b]}")
    tviews = [i for n, i in ids.items() if _is_tview(graph, n)]
    if tviews:
        lines.append("  classDef tview fill:#1f6feb,color:#fff,stroke:none")
        lines.append(f"  class {','.join(tviews)} tview")
    return "\n".join(lines) + "\n"


def _mermaid_text(name: str) -> str:
    """Mermaid takes entity codes in labels; quotes, brackets, #, %% and ends of lines would end or
    start something."""
    plain = (c.isprintable() and c not in '"#<>&`[]{}()|;%' for c in name)
    return "".join(c if keep else f"#{ord(c)};" for c, keep in zip(name, plain, strict=True))


def order(tviews: list[Tview], levels: dict[int, int]) -> str:
    """The order in which TVIEWs can be refreshed; those of one step are independent."""
    lines = [("step", "TVIEW")]
    lines += [(str(levels[t.table_oid]), t.label) for t in tviews]
    return columns(lines, right=(0,))


def cycles(found: list[Cycle], snapshot: Snapshot) -> str:
    """Each component: the path, who else is in it, where it can be cut."""
    from pgtv.graph.cycles import describe, short_names

    blocks = []
    for cycle in found:
        path = describe(cycle, snapshot)
        lines = [one_line(f"Circular dependency detected: {path}")]
        full = describe(cycle, snapshot, helpers=True)
        if full != path:
            lines.append(f"  by way of  {one_line(full)}")
        others = [o for o in cycle.members if o not in cycle.path]
        if others:
            names = short_names(snapshot, cycle.members)
            lines.append(f"  also in it {one_line(', '.join(names[o] for o in others))}")
        for i, (reader, read) in enumerate(cycle.cut):
            proof = (
                "" if i else " (smallest)" if cycle.exact else " (approximate: there may be fewer)"
            )
            lines.append(
                f"  {'' if i else 'cut':10} "
                + one_line(
                    f"{snapshot.name_of(reader)} must not read {snapshot.name_of(read)}{proof}"
                )
            )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def cycles_json(found: list[Cycle], snapshot: Snapshot) -> str:
    document = {
        "schema": "pgtv.cycles/1",
        "cycles": [
            {
                "path": [snapshot.name_of(o) for o in c.tview_path(snapshot.tview_by_table)],
                "full_path": [snapshot.name_of(o) for o in c.path],
                "members": [snapshot.name_of(o) for o in c.members],
                "cut": [
                    {"reader": snapshot.name_of(a), "read": snapshot.name_of(b)} for a, b in c.cut
                ],
                "cut_is_smallest": c.exact,
            }
            for c in found
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def impact(found: list[Reached], snapshot: Snapshot, target: str) -> str:
    """One line a TVIEW, nearest first, with its path and what of it may change."""
    if not found:
        return f"No TVIEW uses {target}.\n"
    lines: list[tuple[str, ...]] = [("TVIEW", "rows", "per row changed", "changes", "path")]
    for reached in found:
        changes = "all columns" if reached.columns is None else ", ".join(reached.columns)
        lines.append(
            (
                reached.tview.label,
                "?" if reached.rows is None else f"{reached.rows:,}",
                "?" if reached.per_row is None else f"~{reached.per_row:,}",
                changes,
                " → ".join(snapshot.name_of(o) for o in reached.path[:-1]),
            )
        )
    known = [r.per_row for r in found if r.per_row is not None]
    rows = sum(known)
    total = f", about {rows:,} row{'' if rows == 1 else 's'} a changed row" if known else ""
    return (
        columns(lines, right=(1, 2)) + f"\n{target} reaches {plural(len(found), 'TVIEW')}{total}.\n"
    )


def impact_json(found: list[Reached], snapshot: Snapshot, target: str) -> str:
    document = {
        "schema": "pgtv.impact/1",
        "target": target,
        "tviews": [
            {
                "name": r.tview.label,
                "path": [snapshot.name_of(o) for o in r.path],
                "columns": None if r.columns is None else list(r.columns),
                "rows": r.rows,
                "rows_per_changed_row": r.per_row,
            }
            for r in found
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
