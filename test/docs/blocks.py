"""Reads the fenced blocks of a Markdown file, with the attributes after their language.

sql       run by psql in a fresh shop database
console   `$ ` commands, with PGHOST and PGDATABASE set; lines below a command are its expected output
sh        shell, as console without the `$ `
others    not executed

Every command of a block has to exit 0, but for what the attributes say: exit=N is the last command's,
exits=N,N,… has one for each. Each runs in a shell of its own; what is exported holds for the blocks after
it on the same database, until it is unset.

What gives rows says which: a block of SQL with a query, or whose psql asks something last, has rows= or
expect=, or (in a console) its output below. Rows are lines of output, in a block of SQL the empty ones too:
a function that returns nothing returns one.

Attributes: exit=N, exits=N,N,…, expect="text in the output", rows=N, setup=NAME (before the block, what
nobody should paste: test/docs/setups/NAME.sql in its database, then NAME.sh in the folder), files=NAME
(what is in test/docs/files/NAME lies in the folder where commands run), database=NAME (one database for
all blocks of the file with that name), elsewhere="where it is run".
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pgtv.cluster.place import place

EXECUTED = ("sql", "console", "sh", "bash", "shell")
_KNOWN = {"exit", "exits", "expect", "rows", "setup", "database", "elsewhere", "files"}


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


def units(text: str) -> Iterator[str]:
    """The commands of shell text, each with its here-documents and continued lines.

    Raises ValueError where the last one has no end.
    """
    unit = ""
    for line in text.splitlines():
        if not unit and (not line.strip() or line.lstrip().startswith("#")):
            continue
        unit += f"{line}\n"
        if not line.endswith("\\") and _complete(unit):
            yield unit.rstrip("\n")
            unit = ""
    if unit:
        raise ValueError(f"no complete command: {unit}")


def _complete(unit: str) -> bool:
    # what it says without failing: a here-document ends with the text
    done = subprocess.run(["bash", "-n", "-c", unit], capture_output=True, text=True, check=False)
    return done.returncode == 0 and not done.stderr


def exits(block: Block, count: int) -> list[int]:
    """The exit code that each of the block's `count` commands has to have.

    Raises ValueError for attributes that do not say it.
    """
    if "exits" not in block.attributes:
        return [0] * (count - 1) + [int(block.attributes.get("exit", 0))]
    codes = [int(code) for code in block.attributes["exits"].split(",")]
    if "exit" in block.attributes or len(codes) != count:
        raise ValueError(f"{block.name}: exits= needs {count} numbers, without exit=")
    return codes


_OPAQUE = re.compile(
    r"(?P<comment>--[^\n]*)|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"",
    re.DOTALL,
)
_STATEMENT = re.compile(r"([^;\\]*)(;|\\\w+[^\n]*|$)")
_GIVES = re.compile(
    r"\s*(?:SELECT|WITH|TABLE|VALUES|SHOW|EXPLAIN|FETCH)\b|.*\bRETURNING\b", re.I | re.S
)


# psql that asks something and shows it; not what its answer is only compared with
_ASKS = re.compile(r"^(?!.*(?:grep -q|\$\(psql)).*(?:psql.*\bSELECT\b|pgtv sql .*\| *psql)", re.S)


def queries(text: str) -> int:
    """How many statements of SQL text for psql print rows: not those whose rows psql keeps or executes."""
    bare = _OPAQUE.sub(lambda m: "" if m["comment"] else "x", text)
    return sum(
        1 for statement, end in _STATEMENT.findall(bare)
        if _GIVES.match(statement) and not end.startswith("\\")
    )  # fmt: skip


def unsaid(block: Block) -> bool:
    """Whether a block that gives rows does not say what they are, so that none would do as well."""
    if block.language not in EXECUTED or {"rows", "expect", "elsewhere"} & set(block.attributes):
        return False
    if block.language == "sql":
        return queries(block.text) > 0
    console = block.language == "console"
    typed = list(commands(block.text)) if console else [(block.text, "")]
    asked = [output for command, output in typed if _ASKS.search(command)]
    return bool(asked) and not asked[-1].strip()


def shell(command: str) -> list[str]:
    """What runs `command` so that no part of it fails unseen, nor lacks what an earlier one set."""
    if re.search(r"(?<!\|)\|(?!\|)", command):  # sh tells a pipe's last part only
        return ["bash", "-eu", "-o", "pipefail", "-c", command]
    return ["sh", "-eu", "-c", command]


def session(command: str, kept: dict[str, str]) -> None:
    """Keep in `kept` what `command` exports, and forget what it unsets."""
    words = shlex.split(command)
    if words[:1] == ["export"]:
        kept |= dict(word.partition("=")[::2] for word in words[1:])
    elif words[:1] == ["unset"]:
        for word in words[1:]:
            kept.pop(word, None)


_VOLATILE = (
    (rf"(?:/tmp|{re.escape(place())})/[\w.-]+", "SOCKET"),
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
