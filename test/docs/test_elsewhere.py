"""What a document says is run by a test elsewhere stands in that test: its commands and its options."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from blocks import Block, blocks, commands  # noqa: E402

from pgtv.cli.main import cli  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELSEWHERE = [
    b for f in FILES for b in blocks(f)
    if b.attributes.get("elsewhere", "").startswith("test/")
]  # fmt: skip
RUNS_THE_BLOCK = "elsewhere"  # a test that takes the block from the page by this attribute


@cache
def said(file: Path) -> frozenset[str]:
    """The words of a test's strings, but for docstrings; of paths their last part too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    prose = {
        id(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    words = (
        word
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        for word in node.value.split()
    )
    return frozenset(part for word in words for part in (word, word.rpartition("/")[2]))


def typed(block: Block) -> Iterator[list[str]]:
    """The words of each command of a block."""
    text = block.text
    if block.language == "console":
        text = "\n".join(command for command, _ in commands(text))
    unit = ""
    for line in text.replace("\\\n", " ").splitlines():
        unit = f"{unit}\n{line}" if unit else line
        try:
            words = shlex.split(unit, comments=True)
        except ValueError:  # a quoted text goes on
            continue
        unit = ""
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            yield words[:end]
            words = words[end + 1 :]


def needed(words: list[str]) -> set[str]:
    """What a test that runs the command has to say."""
    program, *rest = words
    options = {w.partition("=")[0] for w in rest if re.match(r"--[a-z]", w)}
    if program == "pgtv":
        return {*_subcommand(rest), *options}
    if program == "export":
        return set()
    if program in ("psql", "sh"):  # files that it reads
        return {Path(w).stem if program == "sh" else Path(w).name for w in rest
                if w.endswith((".sql", ".sh"))}  # fmt: skip
    if program in ("pipx", "uv", "python3"):
        return {w for w in (program, *rest) if w in ("pipx", "uv", "tool", "install")}
    return {Path(program).name, *options}


def _subcommand(words: list[str]) -> list[str]:
    command: click.Command | None = cli
    found = []
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
        found.append(word)
    return found


@pytest.mark.parametrize("block", ELSEWHERE, ids=lambda b: f"{b.file.name}:{b.line}")
def test_the_test_that_is_named_has_the_commands(block: Block) -> None:
    file = ROOT / block.attributes["elsewhere"]
    words = said(file)
    if RUNS_THE_BLOCK in words:
        return
    missing = {w: " ".join(c) for c in typed(block) for w in needed(c) if w not in words}
    assert not missing, f"{block.attributes['elsewhere']} does not say {missing}"


def test_commands_of_a_block_are_told_apart() -> None:
    text = (
        "export A=1 B=2  # and so on\n"
        "pgtv drill soak \\\n    --minutes 3 --seed=7 && sh upgrade/01-before.sh\n"
        'psql -c "SELECT 1\n  ;" -f sql/a.sql\n'
        "pipx install './pgtv[binary]'\ntest/run_all.sh --output x\n"
    )
    needs = [needed(c) for c in typed(Block(Path("x.md"), 1, "sh", text))]
    assert needs == [
        set(), {"drill", "soak", "--minutes", "--seed"}, {"01-before"}, {"a.sql"},
        {"pipx", "install"}, {"run_all.sh", "--output"},
    ]  # fmt: skip
    console = Block(Path("x.md"), 1, "console", "$ pgtv drill list\n 1  crash\n$ pgtv doctor\nfine")
    assert [needed(c) for c in typed(console)] == [{"drill", "list"}, {"doctor"}]
