"""What holds for the cures of all checks, by their source: also for those that no test provokes."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import pgtv.checks
from pgtv.cli.main import cli

FILES = sorted(Path(pgtv.checks.__file__).parent.glob("*.py"))
TIMEOUT = "SET lock_timeout = '2s';"
# statements that wait for a lock on a table, or calls that make such a statement
LOCKS = re.compile(r"^(ALTER TABLE|ALTER VIEW|DROP|CREATE|TRUNCATE|DELETE|UPDATE|VACUUM|ANALYZE)\b")
MAKES = {"refresh", "reregister"}


def remedies() -> Iterator[tuple[str, ast.Call, ast.AST]]:
    """Each `Remedy(…)` with where it stands and the function around it."""
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call) and ast.unparse(node.func) == "Remedy":
                        yield f"{file.stem}:{node.lineno}", node, function


def argument(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


REMEDIES = {where: (call, function) for where, call, function in remedies()}


@pytest.mark.parametrize("where", REMEDIES)
def test_a_cure_that_takes_locks_sets_lock_timeout_first(where: str) -> None:
    call, function = REMEDIES[where]
    sql, locks = argument(call, "sql"), argument(call, "locks")
    printed = locks is not None and not (isinstance(locks, ast.Tuple) and not locks.elts)
    if sql is None or not (printed or _waits(sql)):
        return
    first = _first(sql, function)
    assert first is not None, f"{where}: it cannot be told how {ast.unparse(sql)} begins"
    assert first == TIMEOUT, f"{where}: begins with {first!r}"


def _waits(sql: ast.expr) -> bool:
    for node in ast.walk(sql):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and LOCKS.match(node.value)
        ):
            return True
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in MAKES
        ):
            return True
    return False


def _first(sql: ast.expr | None, function: ast.AST) -> str | None:
    """The first statement, through conditions, `tuple(…)` and local names; None: it cannot be told."""
    if isinstance(sql, ast.Constant):
        return str(sql.value)
    if isinstance(sql, ast.JoinedStr):
        return ast.unparse(sql)
    if isinstance(sql, ast.Tuple | ast.List):
        return _first(sql.elts[0], function) if sql.elts else None
    if isinstance(sql, ast.Starred):
        return _first(sql.value, function)
    if isinstance(sql, ast.IfExp):
        return _first(sql.body, function)
    if isinstance(sql, ast.Call) and ast.unparse(sql.func) == "tuple" and sql.args:
        return _first(sql.args[0], function)
    if isinstance(sql, ast.Name):
        if sql.id == "TIMEOUT":
            return TIMEOUT
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                target, value = node.targets[0], node.value
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    for name, part in zip(target.elts, value.elts, strict=True):
                        if ast.unparse(name) == sql.id:
                            return _first(part, function)
                if ast.unparse(target) == sql.id:
                    return _first(value, function)
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == sql.id:
                return _first(node.value, function)
    return None


COMMANDS = {
    f"{where} {ast.unparse(command)}": command
    for where, (call, _) in REMEDIES.items()
    if isinstance(command := argument(call, "command"), ast.Constant | ast.JoinedStr)
    and not (isinstance(command, ast.Constant) and command.value is None)
}


@pytest.mark.parametrize("where", COMMANDS)
def test_a_printed_command_is_one_that_can_be_pasted(where: str) -> None:
    command = COMMANDS[where]
    parts = command.values if isinstance(command, ast.JoinedStr) else [command]
    text = "".join(str(p.value) if isinstance(p, ast.Constant) else "x" for p in parts)
    program, *words = shlex.split(text)
    assert program == "pgtv"
    found: click.Command = cli
    context = click.Context(found)
    while isinstance(found, click.Group):
        below = found.get_command(context, words.pop(0))
        assert below is not None, text
        found, context = below, click.Context(below)
    found.make_parser(context).parse_args(words)


EXAMPLES: dict[str, str] = json.loads(
    (Path(__file__).resolve().parents[3] / "tools" / "check_examples.json").read_text()
)
# what doctor printed on a server, up to the next label
CURES = {
    check: found[1]
    for check, text in EXAMPLES.items()
    if (found := re.search(r"^  cure +(.*?)(?=^  [a-z]|\Z)", text, re.MULTILINE | re.DOTALL))
}


def test_no_cure_makes_a_trigger_fire_always() -> None:
    """The apply worker of a subscription would fail again and again, or rows stay wrong all the same."""
    assert len(CURES) > 30
    assert "ENABLE" in CURES["trigger-always"] and "ENABLE" in CURES["trigger-disabled"]
    assert [c for c, cure in CURES.items() if re.search(r"ENABLE\s+ALWAYS", cure, re.I)] == []
