"""SQL files to facts: each statement to what it defines; nothing is judged here."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from pgtv.catalog.dialects.base import DEFINING
from pgtv.definitions.parse import Node
from pgtv.lint import tables
from pgtv.lint.blocks import do
from pgtv.lint.facts import PREFIX, Facts, Other
from pgtv.lint.making import create_table_as, select_calls
from pgtv.lint.place import Place
from pgtv.lint.source import Bytes, Piece, Source, pieces


def read_file(source: Source, facts: Facts) -> None:
    """Add what one file defines to `facts`."""
    for place in places(source):
        if place.piece.node is None:
            _unparsed(source, place.piece, facts)
            continue
        kind, node = next(iter(place.piece.node.get("stmt", {}).items()), ("", {}))
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(place, node, facts)


def places(source: Source) -> Iterator[Place]:
    """Every statement of a file and where it begins; `piece.node` is None where it does not parse."""
    text, known = "", Bytes("")
    for piece in pieces(source.text):
        if piece.text is not text:  # a file that parses as a whole has one text for all statements
            text, known = piece.text, Bytes(piece.text)
        where = functools.partial(_where, piece.offset, known)
        start = piece.node.get("stmt_location", 0) if piece.node else 0
        at = where(start) if start else piece.offset
        yield Place(source, at + _leading(source.text, at), where, piece)


def _where(begins: int, known: Bytes, offset: int) -> int:
    return begins + known.character(offset)


_LEADING = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)


def _leading(text: str, at: int) -> int:
    found = _LEADING.match(text, at)
    return found.end() - at if found else 0


def _unparsed(source: Source, piece: Piece, facts: Facts) -> None:
    at = piece.offset + _leading(source.text, piece.offset)
    text = piece.text
    made = re.compile(r"create\s+tview\b", re.IGNORECASE).search(text)
    if made:
        facts.others.append(Other("retired", source, piece.offset + made.start(), "CREATE TVIEW"))
        return
    ours = re.search(rf"\btable\s+[^;(]*?\b{PREFIX}|{'|'.join(DEFINING)}", text, re.IGNORECASE)
    where = piece.offset + (piece.error_offset or 0) if piece.error_offset is not None else at
    kind = "syntax" if ours else "unparsed"
    facts.others.append(Other(kind, source, where, piece.error or ""))


_HANDLERS: dict[str, Callable[[Place, Node, Facts], None]] = {
    "CreateTableAsStmt": create_table_as,
    "SelectStmt": select_calls,
    "CreateStmt": tables.create_table,
    "CreateForeignTableStmt": lambda p, n, f: tables.create_table(p, n["base"], f),
    "ViewStmt": tables.view,
    "AlterTableStmt": tables.alter,
    "RenameStmt": tables.rename,
    "DropStmt": tables.drop,
    "CreateFunctionStmt": tables.function,
    "DoStmt": do,
}
