"""The graph as text: names that would end a label or a line."""

from __future__ import annotations

import networkx as nx
from mermaid import parsed

from pgtv.graph import render
from pgtv.shown import printable

HOSTILE = (
    'a"]; click n0 "javascript:alert(1)"', "b]]:::x", "c\nn9[[d", "e\r\tf\x1b[2J\x00", "#35;g#",
    "h --> i", "{{j}}|k|", "<b>l</b>&amp;", "`m`", "(n)", "%%{init: {}}%%", "end", "ü 中\u202eo",
    "p\u2028q",
)  # fmt: skip


def test_names_in_trees_and_tables_end_no_line() -> None:
    graph: nx.DiGraph[int | str] = nx.DiGraph()
    for number, name in enumerate(HOSTILE):
        graph.add_node(number, name=name, kind="table" if number else "tview", rows=None)
        if number:
            graph.add_edge(number, 0, kind="reads", columns={name: ["join"]})
    tree, table = render.tree(graph).splitlines(), render.table(graph).splitlines()
    assert len(tree) == len(HOSTILE), "a line a node"
    assert all("├─ reads" in line or "└─ reads" in line for line in tree[1:])
    assert len(table) == len(HOSTILE), "a heading, and a line an edge"


def test_names_in_mermaid_end_no_label_and_no_line() -> None:
    kinds = ("tview", "view", "matview", "function", "table")
    graph: nx.DiGraph[int | str] = nx.DiGraph()
    for number, name in enumerate(HOSTILE):
        graph.add_node(number, name=name, kind=kinds[number % len(kinds)], rows=None)
    for number in range(1, len(HOSTILE)):
        graph.add_edge(number, 0, kind="reads")
    text = printable(render.mermaid(graph))  # as the command writes it
    nodes, edges = parsed(text)
    assert sorted(nodes) == sorted((n, kinds[i % len(kinds)]) for i, n in enumerate(HOSTILE))
    assert edges == {(name, HOSTILE[0]): "reads" for name in HOSTILE[1:]}
