"""House rules that a reader of one file cannot see broken."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "pgtv"
MODULES = sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py"))


def test_there_are_modules() -> None:
    assert len(MODULES) > 20


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_physical_names_live_in_the_dialects_only(module: Path) -> None:
    """Names of the extension's objects change with its releases: only the dialects know them."""
    if module.parts[:2] == ("catalog", "dialects"):
        return
    text = (PACKAGE / module).read_text()
    tree = ast.parse(text)
    provoked = _lines_of_provocations(tree)
    found = {
        n for n, line in enumerate(text.splitlines(), 1) if re.search(r"pg_tview(s?[_.]|\b)", line)
    }
    found |= {
        node.lineno
        for node in ast.walk(_without_docstrings(tree))
        if isinstance(node, ast.Constant) and "pg_tview" in str(node.value)
    }
    lines = [f"{n}: {text.splitlines()[n - 1].strip()}" for n in sorted(found - provoked)]
    assert not lines, f"ask the dialect (pgtv/catalog/dialects), or use base.EXTENSION: {lines}"


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """The extension's own name may stand in prose."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            body[0].value = ast.Constant(None, lineno=0)
    return tree


def _lines_of_provocations(tree: ast.Module) -> set[int]:
    """How a test or drill breaks a database is said in the words of the release that it runs on."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Provoke", "Break")
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_the_session_opens_connections(module: Path) -> None:
    """Throwaway servers excepted; everything else is handed its connection."""
    if module == Path("session.py") or module.parts[0] in ("cluster", "drills"):
        return
    text = (PACKAGE / module).read_text()
    assert not re.search(r"psycopg\.(Async)?[Cc]onnect(ion\.connect)?\(", text)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_named_after_nothing(module: Path) -> None:
    assert not re.search(r"util|helper|manager|misc|common", module.stem)
