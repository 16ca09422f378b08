"""Statements that make, replace or drop TVIEWs: CREATE TABLE tv_… AS and calls of the extension."""

from __future__ import annotations

import json
import re
from typing import Any

from pgtv.catalog.dialects.base import DEFINING, DROPPING, RETIRED_CALLS
from pgtv.definitions.parse import Node, select
from pgtv.definitions.reads import Relation
from pgtv.errors import DefinitionError
from pgtv.lint.facts import PREFIX, Definition, Facts, Other, Table
from pgtv.lint.place import Place, name_of, string
from pgtv.lint.source import Bytes, Literal

_PARAMETER_NAMES = {  # of early releases, to today's
    "tview_name": "tview", "entity": "tview", "name": "tview", "select_sql": "query",
    "definition": "query", "sql": "query",
}  # fmt: skip


def create_table_as(place: Place, node: Node, facts: Facts) -> None:
    into = node["into"]
    schema, name = name_of(into["rel"])
    query = node.get("query", {})
    if node.get("objtype") == "OBJECT_MATVIEW":
        facts.add(Table(schema, name, "matview", None, (), query.get("SelectStmt"), place.source,
                          place.at, place.where))  # fmt: skip
        return
    if not name.startswith(PREFIX) or len(name) <= len(PREFIX):
        facts.add(Table(schema, name, "table"))
        return
    body = query.get("SelectStmt")
    definition = Definition(
        place.source, schema, name, place.at, "table", False, body, place.where,
        {"logged": False} if into["rel"].get("relpersistence") == "u" else {},
        None if body is not None else "CREATE TABLE … AS EXECUTE",
        into=into, statement=node, if_not_exists=node.get("if_not_exists", False),
        typed_name=_typed(place, into["rel"]), cut=lambda: _query_of(place) if body is not None else None,
    )  # fmt: skip
    _define(facts, definition)


def _query_of(place: Place) -> str | None:
    """What stands between AS and WITH [NO] DATA of a CREATE TABLE … AS."""
    from pglast.parser import ParseError, scan

    piece, raw = place.piece, place.piece.node or {}
    start, length = raw.get("stmt_location", 0), raw.get("stmt_len")
    end = place.where(start + length) - piece.offset if length else None
    text = piece.text[place.where(start) - piece.offset : end]
    try:
        tokens = [t for t in scan(text) if t.name not in ("SQL_COMMENT", "C_COMMENT")]
    except ParseError:
        return None
    depth, begin = 0, None
    for token in tokens:
        depth += {"ASCII_40": 1, "ASCII_41": -1}.get(token.name, 0)
        if token.name == "AS" and depth == 0:
            begin = token.end + 1
            break
    if begin is None:
        return None
    last = [t.name for t in tokens[-3:]]
    cut = 3 if last[0:2] == ["WITH", "NO"] else 2 if last[1:2] == ["WITH"] else 0
    ends = last[-1] == "DATA_P" and cut
    return text[begin : tokens[-cut].start if ends else len(text)].strip()


def _typed(place: Place, rel: Node) -> str:
    """The table's name as the file has it; the parser has already cut it at 63 bytes."""
    at = place.where(rel.get("location", 0))
    found = re.compile(r'(?:"(?:[^"]|"")*"|[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")*"|[\w$]+))*').match(
        place.source.text, at
    )
    return found.group().rsplit(".", 1)[-1].strip().strip('"') if found else rel["relname"]


def _define(facts: Facts, definition: Definition) -> None:
    definition.source.definitions += 1
    facts.definitions.append(definition)
    facts.events.append(("define", definition))


def select_calls(place: Place, node: Node, facts: Facts) -> None:
    if "intoClause" in node:
        name = node["intoClause"]["rel"]["relname"]
        if name.startswith(PREFIX):
            facts.others.append(Other("into", place.source, place.at, name))
        return
    for call in _calls(node.get("targetList", [])) + _calls(node.get("fromClause", [])):
        _call(place, call, facts)


def _calls(node: Any) -> list[Node]:
    """Calls of the extension anywhere below."""
    if isinstance(node, list):
        return [c for n in node for c in _calls(n)]
    if not isinstance(node, dict):
        return []
    found = []
    call = node.get("FuncCall")
    if call:
        name = call["funcname"][-1]["String"]["sval"]
        if name in DEFINING or name in RETIRED_CALLS or name == DROPPING:
            found.append(call)
    for value in node.values():
        if isinstance(value, dict | list):
            found += _calls(value)
    return found


def _call(place: Place, call: Node, facts: Facts) -> None:
    name = call["funcname"][-1]["String"]["sval"]
    at = place.where(call.get("location", 0))
    if name in RETIRED_CALLS:
        facts.others.append(Other("retired", place.source, at, name))
        return
    given = _arguments(call, DEFINING[name][0] if name in DEFINING else ("tview",))
    tview = string(given.get("tview"))
    if tview is None:
        return  # built at run time: nothing to be known of it
    schema, table = _tview_name(tview[0])
    if name == DROPPING:
        facts.events.append(("drop", (schema, table)))
        return
    options = _options(given.get("options"))
    query = string(given.get("query"))
    if query is None:
        return
    literal = Literal(place.source.text, place.where(query[1]))
    inner = Bytes(query[0])
    definition = Definition(
        place.source, schema, table, at, "call", DEFINING[name][1], None,
        lambda offset: literal.offset(inner.character(offset)), options, typed_name=table,
        cut=lambda: query[0],
    )  # fmt: skip
    try:
        definition.node = select(query[0])
    except DefinitionError as e:
        definition.error = e.message
        definition.error_at = literal.offset(e.position or 0)
    _define(facts, definition)


def _arguments(call: Node, names: tuple[str, ...]) -> dict[str, Node]:
    given: dict[str, Node] = {}
    for i, argument in enumerate(call.get("args", [])):
        named = argument.get("NamedArgExpr")
        if named:
            name = named["name"]
            given[name if name in names else _PARAMETER_NAMES.get(name, name)] = named["arg"]
        elif i < len(names):
            given[names[i]] = argument
    return given


def _options(node: Node | None) -> dict[str, Any] | None:
    """The options; None where they are no literal, `{"": text}` where they are no JSON object."""
    if node is None:
        return {}
    text = string(node)
    if text is None:
        return None
    try:
        found = json.loads(text[0])
    except ValueError:
        return {"": text[0]}
    return found if isinstance(found, dict) else {"": text[0]}


def _tview_name(text: str) -> Relation:
    """Schema and table out of the name argument; a bare entity gets its prefix."""
    parts = re.findall(r'"((?:[^"]|"")*)"|([^."]+)', text.strip())
    names = [q.replace('""', '"') if q else b.strip() for q, b in parts] or [text]
    table = names[-1] if names[-1].startswith(PREFIX) else PREFIX + names[-1]
    return (names[-2] if len(names) > 1 else None), table
