"""Reads the fenced blocks of a Markdown file, with the attributes after their language.

sql       run by psql in a fresh shop database
console   `$ ` commands, with PGHOST and PGDATABASE set; lines below a command are its expected output
sh        shell, as console without the `$ `
others    not executed

Attributes: exit=N, expect="text in the output", rows=N, setup=NAME (test/docs/setups/NAME.sql),
database=NAME (one database for all blocks of the file with that name), elsewhere="where it is run".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

EXECUTED = ("sql", "console", "sh", "bash", "shell")
_KNOWN = {"exit", "expect", "rows", "setup", "database", "elsewhere"}


@dataclass(frozen=True)
class Block:
    """One fence: where it starts, in which language, its attributes and its text."""

    file: Path
    line: int
    language: str
    text: str
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}"


def blocks(file: Path) -> Iterator[Block]:
    """Every fence of `file`, in order. Raises ValueError for one that is malformed."""
    lines = file.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opened = re.fullmatch(r"( *)(`{3,})(.*)", lines[number])
        number += 1
        if not opened:
            continue
        indent, fence, info = len(opened[1]), opened[2], opened[3]
        start = number
        while number < len(lines) and lines[number].strip() != fence:
            number += 1
        if number == len(lines):
            raise ValueError(f"{file}:{start}: the fence is not closed")
        body = "\n".join(line[indent:] for line in lines[start:number])
        number += 1
        language, *rest = shlex.split(info) or [""]
        attributes = dict(item.partition("=")[::2] for item in rest)
        if unknown := set(attributes) - _KNOWN:
            raise ValueError(f"{file}:{start}: unknown attributes {sorted(unknown)}")
        yield Block(file, start, language, body, attributes)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, expected output) of a console block; a trailing backslash goes on."""
    command, output = "", list[str]()
    going_on = False
    for line in text.splitlines():
        if going_on:
            command += f"\n{line}"
        elif line.startswith("$ "):
            if command:
                yield command, "\n".join(output)
            command, output = line[2:], []
        else:
            output.append(line)
            continue
        going_on = command.endswith("\\")
    if command:
        yield command, "\n".join(output)


_VOLATILE = (
    (r"/tmp/[\w.-]+", "SOCKET"),
    (r"\b[\w.-]+:5432\b", "SOCKET:5432"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(\+[\d:]+)?", "TIME"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
    (r"\b\d+(\.\d+)? (ms|s)\b", "N s"),
    (r"PostgreSQL \d+\.\d+", "PostgreSQL N"),
    (r"\b(shop|doc\d+)\b", "shop"),
)


def settled(text: str) -> list[str]:
    """Lines without what differs from run to run and from server to server."""
    for pattern, name in _VOLATILE:
        text = re.sub(pattern, name, text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def agrees(expected: str, actual: str) -> bool:
    """Whether `actual` is `expected`; a line that is only `…` stands for any lines."""
    parts: list[list[str]] = [[]]
    for line in settled(expected):
        if line == "…":
            parts.append([])
        else:
            parts[-1].append(line)
    found = settled(actual)
    position = 0
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        starts = range(position, len(found) - len(part) + 1)
        if number == 0:
            starts = range(0, min(1, len(found) - len(part) + 1))
        if last and len(parts) > 1:
            starts = range(len(found) - len(part), len(found) - len(part) + 1)
        at = next((s for s in starts if s >= position and found[s : s + len(part)] == part), None)
        if at is None:
            return False
        position = at + len(part)
    return position == len(found)
