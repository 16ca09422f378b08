"""How modules of pgtv may import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import networkx as nx

import pgtv

ROOT = Path(pgtv.__file__).parent

# A rehearsal and a drill type the documented commands, in this process.
TYPED = {("lifecycle", "cli"), ("drills", "cli")}


def imports() -> nx.DiGraph[str]:
    """An edge for each import, at the top or within a function; those for types only are left out."""
    files = {_name(p): p for p in ROOT.rglob("*.py")}
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in _running(tree):
            for target in _targets(node):
                while target not in files and "." in target:
                    target = target.rpartition(".")[0]
                if target in files and target not in (name, "pgtv"):
                    graph.add_edge(name, target)
    return graph


def _name(path: Path) -> str:
    parts = ("pgtv", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _running(node: ast.AST):  # type: ignore[no-untyped-def]
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _running(child)


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{a.name}" for a in node.names]
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert list(nx.simple_cycles(imports())) == []


def test_packages_import_one_way() -> None:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for importer, imported in imports().edges:
        pair = importer.split(".")[1], imported.split(".")[1]
        if pair[0] != pair[1] and pair not in TYPED:
            graph.add_edge(*pair)
    assert list(nx.simple_cycles(graph)) == []
    assert {"cli", "checks", "catalog", "rows"} <= set(graph), "it looked at something"


def test_one_place_decides_how_rows_are_brought() -> None:
    """A refresh fails where a foreign key points at a TVIEW: `bringing` knows, a check does not."""
    asking = {
        path.name
        for path in (ROOT / "checks").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("refresh", "reconcile")
    }
    assert asking == {"bringing.py"}
