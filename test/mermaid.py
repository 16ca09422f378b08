"""Reads a Mermaid flowchart as `pgtv graph show` writes it, as a program that draws it would."""

from __future__ import annotations

import re

SHAPES = {
    ("[[", "]]"): "tview", ("(", ")"): "view", ("[(", ")]"): "matview", ("{{", "}}"): "function",
    ("[", "]"): "table",
}  # fmt: skip
ARROWS = {"==>|embeds|": "embeds", "-.->|maps|": "maps", "-->": "reads"}
# A label is all between two quotes; what would end it or begin something else has to be a code.
NODE = re.compile(r'  (n\d+)([\[({]+)"([^"<>&`\[\]{}()|]*)"([\])}]+)')


def parsed(text: str) -> tuple[list[tuple[str, str]], dict[tuple[str, str], str]]:
    """Nodes as (name, kind), and edges as (from, to): kind. Fails at any line that it does not know."""
    heading, *lines = text.splitlines()
    assert heading == "flowchart LR"
    nodes: dict[str, tuple[str, str]] = {}
    edges: dict[tuple[str, str], str] = {}
    coloured: list[str] = []
    for line in lines:
        if node := NODE.fullmatch(line):
            short, begin, label, end = node.groups()
            assert short not in nodes
            assert re.fullmatch(r"(?:[^#;]|#\d+;)*", label), line
            name = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label)
            nodes[short] = (name, SHAPES[begin, end])
        elif line.startswith("  class "):
            coloured += line.split()[1].split(",")
        elif not line.startswith("  classDef "):
            a, arrow, b = line.split()
            key = (nodes[a][0], nodes[b][0])
            assert key not in edges
            edges[key] = ARROWS[arrow]
    assert coloured == [n for n, (_, kind) in nodes.items() if kind == "tview"]
    return list(nodes.values()), edges
