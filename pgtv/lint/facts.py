"""What SQL files define: TVIEWs, tables, views, functions; nothing is judged here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pgtv.catalog.dialects.base import DEFINING, DROPPING, RETIRED_CALLS
from pgtv.definitions.parse import Node, select
from pgtv.definitions.reads import Reads, Relation
from pgtv.errors import DefinitionError
from pgtv.lint.source import Bytes, Literal, Piece, Source, pieces

PREFIX = "tv_"
_PARAMETER_NAMES = {  # of early releases, to today's
    "tview_name": "tview", "entity": "tview", "name": "tview", "select_sql": "query",
    "definition": "query", "sql": "query",
}  # fmt: skip


@dataclass
class Definition:
    """One statement that makes a TVIEW.

    form: `table` (CREATE TABLE tv_… AS) or `call`. at: file offset of the statement. where: turns a
    byte offset of the definition's tree into a file offset. options: None where they are no literal.
    """

    source: Source
    schema: str | None
    table: str
    at: int
    form: str
    replaces: bool
    node: Node | None
    where: Callable[[int], int]
    options: dict[str, Any] | None = field(default_factory=dict)
    error: str | None = None
    error_at: int | None = None
    into: Node | None = None
    statement: Node | None = None
    if_not_exists: bool = False
    typed_name: str = ""  # as written, before the server would cut it at 63 bytes
    parameters: bool = False
    reads: Reads | None = None
    query: str | None = None  # its text; None where it is no literal

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass
class Table:
    """A table, view or materialized view that the files (or --schema) define."""

    schema: str | None
    name: str
    kind: str  # table, view, matview
    columns: dict[str, str] | None = None
    inherits: tuple[Relation, ...] = ()
    node: Node | None = None  # a view's SELECT
    source: Source | None = None
    at: int = 0
    where: Callable[[int], int] = lambda offset: offset


@dataclass
class Other:
    """Something worth a word that defines nothing: kind `retired`, `unparsed`, `plain`, `into`…"""

    kind: str
    source: Source
    at: int
    text: str = ""


@dataclass
class Facts:
    """Everything of all files, in their order."""

    definitions: list[Definition] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)  # ("define"|"drop", what), in order
    tables: dict[tuple[str, str], Table] = field(default_factory=dict)
    bare: dict[str, set[str]] = field(default_factory=dict)  # name to schemas
    functions: dict[str, str] = field(default_factory=dict)  # name to volatility, in lower case
    others: list[Other] = field(default_factory=list)

    def table(self, relation: Relation) -> Table | None:
        """By name; without a schema the one in public, else the only one of that name."""
        schema, name = relation
        if schema is not None:
            return self.tables.get((schema, name))
        found = self.tables.get(("public", name))
        if found is None:
            alike = self.bare.get(name, set())
            found = self.tables[next(iter(alike)), name] if len(alike) == 1 else None
        return found

    def add(self, table: Table) -> None:
        schema = table.schema or "public"
        self.tables[schema, table.name] = table
        self.bare.setdefault(table.name, set()).add(schema)

    def take(self, relation: Relation) -> Table | None:
        """Remove a table, because it goes by another name from here on."""
        schema, name = relation[0] or "public", relation[1]
        self.bare.get(name, set()).discard(schema)
        return self.tables.pop((schema, name), None)


def read_file(source: Source, facts: Facts) -> None:
    """Add what one file defines to `facts`."""
    maps: dict[int, Bytes] = {}
    for piece in pieces(source.text):
        known = maps.setdefault(id(piece.text), Bytes(piece.text))
        _statement(source, piece, known, facts)


def _statement(source: Source, piece: Piece, known: Bytes, facts: Facts) -> None:
    def where(offset: int) -> int:
        return piece.offset + known.character(offset)

    if piece.node is None:
        _unparsed(source, piece, facts)
        return
    start = piece.node.get("stmt_location", 0)
    at = where(start) if start else piece.offset
    at += _leading(source.text, at)
    kind, node = next(iter(piece.node.get("stmt", {}).items()), ("", {}))
    handler = _HANDLERS.get(kind)
    if handler is not None:
        handler(_Place(source, at, where, piece), node, facts)


_LEADING = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)


def _leading(text: str, at: int) -> int:
    found = _LEADING.match(text, at)
    return found.end() - at if found else 0


@dataclass
class _Place:
    source: Source
    at: int
    where: Callable[[int], int]
    piece: Piece


def _name(rangevar: Node) -> Relation:
    return rangevar.get("schemaname"), rangevar["relname"]


def _create_table_as(place: _Place, node: Node, facts: Facts) -> None:
    into = node["into"]
    schema, name = _name(into["rel"])
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
        typed_name=_typed(place, into["rel"]), query=_query_of(place) if body is not None else None,
    )  # fmt: skip
    _define(facts, definition)


def _query_of(place: _Place) -> str | None:
    """What stands between AS and WITH [NO] DATA of a CREATE TABLE … AS."""
    from pglast.parser import ParseError, scan

    raw = place.piece.node or {}
    start = raw.get("stmt_location", 0)
    encoded = place.piece.text.encode("utf-8", "surrogatepass")
    length = raw.get("stmt_len") or len(encoded) - start
    text = encoded[start : start + length].decode("utf-8", "replace")
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


def _typed(place: _Place, rel: Node) -> str:
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


def _select(place: _Place, node: Node, facts: Facts) -> None:
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


def _call(place: _Place, call: Node, facts: Facts) -> None:
    name = call["funcname"][-1]["String"]["sval"]
    at = place.where(call.get("location", 0))
    if name in RETIRED_CALLS:
        facts.others.append(Other("retired", place.source, at, name))
        return
    given = _arguments(call, DEFINING[name][0] if name in DEFINING else ("tview",))
    tview = _string(given.get("tview"))
    if tview is None:
        return  # built at run time: nothing to be known of it
    schema, table = _tview_name(tview[0])
    if name == DROPPING:
        facts.events.append(("drop", (schema, table)))
        return
    options = _options(given.get("options"))
    query = _string(given.get("query"))
    if query is None:
        return
    literal = Literal(place.source.text, place.where(query[1]))
    inner = Bytes(query[0])
    definition = Definition(
        place.source, schema, table, at, "call", DEFINING[name][1], None,
        lambda offset: literal.offset(inner.character(offset)), options, typed_name=table,
        query=query[0],
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


def _string(node: Node | None) -> tuple[str, int] | None:
    """A string literal's value and byte location, casts taken off."""
    while node and "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    const = (node or {}).get("A_Const", {})
    if "sval" not in const:
        return None
    return const["sval"].get("sval", ""), const.get("location", 0)


def _options(node: Node | None) -> dict[str, Any] | None:
    """The options; None where they are no literal, `{"": text}` where they are no JSON object."""
    if node is None:
        return {}
    text = _string(node)
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


def _create_table(place: _Place, node: Node, facts: Facts) -> None:
    schema, name = _name(node["relation"])
    columns: dict[str, str] = {}
    complete = True
    for element in node.get("tableElts", []):
        if "ColumnDef" in element:
            column = element["ColumnDef"]
            columns[column["colname"]] = _type(column.get("typeName", {}))
        elif "TableLikeClause" in element:
            complete = False
    partition = "partbound" in node
    parents = tuple(_name(p["RangeVar"]) for p in node.get("inhRelations", []))
    if partition or parents or "ofTypename" in node:
        complete = False
    facts.add(Table(schema, name, "table", columns if complete else None,
                      () if partition else parents))  # fmt: skip
    if name.startswith(PREFIX) and not partition:
        facts.others.append(Other("plain", place.source, place.at, name))


def _type(node: Node) -> str:
    names = [n["String"]["sval"] for n in node.get("names", [])]
    suffix = "[]" if node.get("arrayBounds") else ""
    return (names[-1] if names else "") + suffix


def _view(place: _Place, node: Node, facts: Facts) -> None:
    schema, name = _name(node["view"])
    body = node.get("query", {}).get("SelectStmt")
    facts.add(Table(schema, name, "view", None, (), body, place.source, place.at, place.where))


def _alter(_: _Place, node: Node, facts: Facts) -> None:
    if "relation" not in node:
        return
    table = facts.table(_name(node["relation"]))
    if table is None:
        return
    for item in node.get("cmds", []):
        command = item["AlterTableCmd"]
        what = command.get("subtype")
        definition = command.get("def", {})
        if what == "AT_AddColumn" and table.columns is not None:
            column = definition["ColumnDef"]
            table.columns[column["colname"]] = _type(column.get("typeName", {}))
        elif what == "AT_DropColumn" and table.columns is not None:
            table.columns.pop(command.get("name", ""), None)
        elif what == "AT_AlterColumnType" and table.columns is not None:
            table.columns[command["name"]] = _type(definition["ColumnDef"].get("typeName", {}))
        elif what == "AT_AddInherit" and "RangeVar" in definition:
            table.inherits = (*table.inherits, _name(definition["RangeVar"]))


def _rename(_: _Place, node: Node, facts: Facts) -> None:
    if "relation" not in node:
        return
    schema, name = _name(node["relation"])
    if node.get("renameType") == "OBJECT_COLUMN":
        table = facts.table((schema, name))
        if table and table.columns is not None and node.get("subname") in table.columns:
            table.columns[node["newname"]] = table.columns.pop(node["subname"])
    elif node.get("renameType") in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"):
        moved = facts.take((schema, name))
        if moved:
            moved.name = node["newname"]
            facts.add(moved)


def _drop(_: _Place, node: Node, facts: Facts) -> None:
    for item in node.get("objects", []):
        names = [n["String"]["sval"] for n in item.get("List", {}).get("items", [])]
        if names and names[-1].startswith(PREFIX):
            facts.events.append(("drop", (names[-2] if len(names) > 1 else None, names[-1])))


def _function(_: _Place, node: Node, facts: Facts) -> None:
    volatility = "volatile"
    for option in node.get("options", []):
        element = option["DefElem"]
        if element["defname"] == "volatility":
            volatility = element["arg"]["String"]["sval"]
    facts.functions[node["funcname"][-1]["String"]["sval"]] = volatility


def _do(place: _Place, node: Node, facts: Facts) -> None:
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


_IN_BLOCK = re.compile(
    r"\b(?:(?P<perform>perform)\b(?=[^;]*?\bpg_\w+)|(?P<execute>execute)\s+(?=[$eE'])"
    r"|(?=create\s+(?:unlogged\s+|temp\w*\s+)?table\s+[^;(]*?\btv_)"
    r"|(?=select\b[^;]*?\bpg_\w+\s*\())",
    re.IGNORECASE,
)


def _block(source: Source, literal: Literal, body: str, facts: Facts) -> None:
    """Statements of a PL/pgSQL block that make TVIEWs; the rest of the language is stepped over."""
    from pgtv.lint.source import split

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
    from pgtv.definitions.parse import statements

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
            inner = _string((node.get("targetList") or [{}])[0].get("ResTarget", {}).get("val"))
            if inner:
                nested = Literal(source.text, where(inner[1]))
                _nested(source, nested, inner[0], facts)
            continue
        if kind in ("CreateTableAsStmt", "SelectStmt"):
            piece = Piece(text, 0, raw)
            _HANDLERS[kind](_Place(source, where(0), where, piece), node, facts)


def _nested(source: Source, literal: Literal, text: str, facts: Facts) -> None:
    """EXECUTE 'CREATE TABLE tv_… AS …'."""
    for start, end, blanked in _each(text):
        _block_statement(source, literal, blanked[start:end], start, facts, False)


def _each(text: str) -> Iterator[tuple[int, int, str]]:
    from pgtv.lint.source import split

    return split(text)


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


_HANDLERS: dict[str, Callable[[_Place, Node, Facts], None]] = {
    "CreateTableAsStmt": _create_table_as,
    "SelectStmt": _select,
    "CreateStmt": _create_table,
    "CreateForeignTableStmt": lambda p, n, f: _create_table(p, n["base"], f),
    "ViewStmt": _view,
    "AlterTableStmt": _alter,
    "RenameStmt": _rename,
    "DropStmt": _drop,
    "CreateFunctionStmt": _function,
    "DoStmt": _do,
}
