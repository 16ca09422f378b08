"""SQL files as people write them: psql's own lines, COPY data, variables, pieces that do not parse.

What is not SQL is blanked by spaces of the same length, so that every offset stays true. A file that
parses as a whole is parsed once; else statement by statement, and what fails is reported where it is.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from pgtv.definitions.parse import Node, statements
from pgtv.errors import DefinitionError

_TOKENS = re.compile(
    r"""
    (?P<line>--[^\n]*)
  | (?P<block>/\*)
  | (?P<string>[eE]?'(?:[^']|'')*(?:'|\Z))
  | (?P<name>"(?:[^"]|"")*(?:"|\Z))
  | (?P<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)
  | (?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)
  | (?P<open>\()
  | (?P<close>\))
  | (?P<end>;)
  | (?P<meta>\\[^\n]*)
    """,
    re.VERBOSE,
)
_ESCAPED = re.compile(r"[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)", re.DOTALL)
_COPY = re.compile(r"copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_VARIABLE = re.compile(r"(?<![:\w]):(?=['\"A-Za-z_])")


@dataclass(frozen=True)
class Piece:
    """One statement's text (with what is not SQL blanked), its offset in the file, its tree."""

    text: str
    offset: int  # characters
    node: Node | None
    error: str | None = None
    error_offset: int | None = None


@dataclass
class Source:
    """A file: its name, its text, and where its lines begin. Offsets are characters."""

    name: str
    text: str
    ignored: dict[int, frozenset[str] | None] = field(default_factory=dict)
    definitions: int = 0  # how many were found in it

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer("\n", self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect.bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1


class Bytes:
    """Byte offsets of a text to character offsets; free for ASCII, else a search among the bytes
    that begin no character."""

    def __init__(self, text: str) -> None:
        encoded = b"" if text.isascii() else text.encode("utf-8", "surrogatepass")
        self.inner = [m.start() for m in re.finditer(rb"[\x80-\xbf]", encoded)]

    def character(self, offset: int) -> int:
        return max(0, offset - bisect.bisect_left(self.inner, offset))


def pieces(text: str) -> list[Piece]:
    """The statements of a file, parsed. Those that do not parse have no node and an error."""
    if "\\" not in text:
        try:
            whole = statements(text)
        except DefinitionError:
            pass
        else:
            return list(_cut(text, whole))
    found: list[Piece] = []
    for start, end, blanked in split(text):
        found += _parsed(blanked, start, end)
    return found


def _cut(text: str, whole: list[Node]) -> Iterator[Piece]:
    """Statements of a text that parsed as a whole, each with locations as in that whole text."""
    for raw in whole:
        yield Piece(text, 0, raw)


def _parsed(blanked: str, start: int, end: int) -> Iterator[Piece]:
    piece = blanked[start:end]
    if not piece.strip():
        return
    for text in (piece, _VARIABLE.sub(" ", piece)):
        try:
            found = statements(text)
        except DefinitionError as e:
            error = e
            continue
        for raw in found:
            yield Piece(text, start, raw)
        return
    yield Piece(piece, start, None, error.message, error.position)


def split(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and the blanked text of each statement, ends at semicolons outside anything."""
    chars = text
    start = position = depth = atomic = 0
    while (token := _TOKENS.search(chars, position)) is not None:
        kind, position = token.lastgroup, token.end()
        if kind == "string" and token.group()[0] in "eE":
            escaped = _ESCAPED.match(chars, token.start())
            position = escaped.end() if escaped else position
        elif kind == "block":
            position = _comment_end(chars, token.start())
        elif kind == "dollar":
            closing = chars.find(token.group(), position)
            position = len(chars) if closing < 0 else closing + len(token.group())
        elif kind == "meta":
            command = token.group()
            # \gset, \gexec, \g and the like send what stands before them
            ends = re.match(r"\\(g|gx|gset|gexec|gdesc|crosstabview|watch|bind)\b", command)
            chars = chars[: token.start()] + " " * len(command) + chars[token.end() :]
            if ends and depth == 0:
                yield start, token.start(), chars
                start = position
        elif kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        elif kind == "word":
            word = token.group().lower()
            if word == "atomic" or (atomic and word == "case"):
                atomic += 1
            elif word == "end" and atomic:
                atomic -= 1
        elif kind == "end" and depth == 0 and not atomic:
            yield start, position - 1, chars
            if _COPY.match(chars[start : position - 1].lstrip()):
                line = chars.find("\n", position)
                data_end = re.compile(r"^\\\.[ \t]*$", re.MULTILINE).search(chars, position)
                stop = data_end.end() if data_end else len(chars)
                if line >= 0:
                    blank = re.sub(r"[^\n]", " ", chars[line:stop])
                    chars = chars[:line] + blank + chars[stop:]
                    position = stop
            start = position
        elif kind == "end" and not atomic and _restarts(chars, position):
            # an unclosed parenthesis must not swallow the rest of the file
            yield start, position - 1, chars
            start, depth = position, 0
    yield start, len(chars), chars


def _restarts(text: str, position: int) -> bool:
    """Whether a new statement visibly begins: a line that starts with a statement's first word."""
    return bool(
        re.match(
            r"\s*\n(--[^\n]*\n|\s)*(create|select|insert|alter|drop|begin|commit|do|set|with|grant)\b",
            text[position : position + 400],
            re.IGNORECASE,
        )
    )


def _comment_end(text: str, start: int) -> int:
    """Block comments nest in PostgreSQL."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


@dataclass(frozen=True)
class Literal:
    """A string literal of the file and how offsets in its value map to offsets in the file."""

    text: str  # the file's
    start: int  # of the literal in the file

    def offset(self, inner: int) -> int:
        """Where character `inner` of the value stands in the file."""
        text, at = self.text, self.start
        dollar = re.compile(r"\$(?:[^\W\d]\w*)?\$").match(text, at)
        if dollar:
            return dollar.end() + inner
        escaped = text[at : at + 1] in ("e", "E")
        at += 1 if escaped else 0
        if text[at : at + 1] != "'":
            return self.start
        at += 1
        for _ in range(inner):
            if text[at : at + 2] == "''" or (escaped and text[at : at + 1] == "\\"):
                at += 1
            at += 1
        return min(at, len(text))
