"""DO blocks: the statements in them that make TVIEWs, without reading PL/pgSQL."""

from __future__ import annotations

import re

from pgtv.catalog.dialects.base import DEFINING
from pgtv.definitions.parse import Node, statements
from pgtv.errors import DefinitionError
from pgtv.lint.facts import PREFIX, Facts, Other
from pgtv.lint.making import create_table_as, select_calls
from pgtv.lint.place import Place, string
from pgtv.lint.source import Bytes, Literal, Piece, Source, split


def do(place: Place, node: Node, facts: Facts) -> None:
    body = next(
        (
            a["DefElem"]["arg"]["String"]["sval"]
            for a in node.get("args", [])
            if a["DefElem"].get("defname") == "as"
        ),
        "",
    )
    found = re.compile(r"\$(?:[^\W\d]\w*)?\$|'").search(place.source.text, place.at)
    if body and found:
        _block(place.source, Literal(place.source.text, found.start()), body, facts)


_MAKING = {"CreateTableAsStmt": create_table_as, "SelectStmt": select_calls}
_IN_BLOCK = re.compile(
    r"\b(?:(?P<perform>perform)\b(?=[^;]*?\bpg_\w+)|(?P<execute>execute)\s+(?=[$eE'])"
    r"|(?=create\s+(?:unlogged\s+|temp\w*\s+)?table\s+[^;(]*?\btv_)"
    r"|(?=select\b[^;]*?\bpg_\w+\s*\())",
    re.IGNORECASE,
)


def _block(source: Source, literal: Literal, body: str, facts: Facts) -> None:
    """Statements of a PL/pgSQL block that make TVIEWs; the rest of the language is stepped over."""
    for start, end, blanked in split(body):
        found = _IN_BLOCK.search(blanked, start, end)
        if found is None:
            continue
        text = blanked[found.start() : end]
        shift = found.start()
        if found.group("perform"):
            text = "SELECT " + text[len("perform") :]
        if found.group("execute"):
            text = blanked[found.end() : end]
            shift = found.end()
            text = "SELECT " + text
            shift -= len("SELECT ")
        _block_statement(source, literal, text, shift, facts, bool(found.group("execute")))


def _block_statement(
    source: Source, literal: Literal, text: str, shift: int, facts: Facts, execute: bool
) -> None:
    try:
        parsed = statements(text)
    except DefinitionError:
        if re.search(rf"\b{PREFIX}|" + "|".join(DEFINING), text):
            at = literal.offset(max(0, shift))
            facts.others.append(Other("unparsed", source, at, "a statement of a DO block"))
        return
    known = Bytes(text)

    def where(offset: int) -> int:
        return literal.offset(max(0, shift + known.character(offset)))

    for raw in parsed:
        kind, node = next(iter(raw.get("stmt", {}).items()))
        if execute:
            inner = string((node.get("targetList") or [{}])[0].get("ResTarget", {}).get("val"))
            if inner:
                nested = Literal(source.text, where(inner[1]))
                _nested(source, nested, inner[0], facts)
            continue
        make = _MAKING.get(kind)
        if make is not None:
            make(Place(source, where(0), where, Piece(text, 0, raw)), node, facts)


def _nested(source: Source, literal: Literal, text: str, facts: Facts) -> None:
    """EXECUTE 'CREATE TABLE tv_… AS …'."""
    for start, end, blanked in split(text):
        _block_statement(source, literal, blanked[start:end], start, facts, False)
