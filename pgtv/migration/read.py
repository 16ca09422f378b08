"""Migration files to steps: one for each statement, those inside DO blocks and EXECUTE '…' too.

What cannot be read as SQL is a step all the same, with the rule that says so: nothing is left out in
silence.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pgtv.definitions.parse import Node, statements
from pgtv.errors import DefinitionError
from pgtv.lint.files import places
from pgtv.lint.place import Place, string
from pgtv.lint.source import Bytes, Piece, Source

SHOWN = 160  # characters of a statement that reports quote

# Where goose, dbmate, sql-migrate and micrate begin what undoes a migration.
_DOWN = re.compile(
    r"^[ \t]*--[ \t]*(?:\+goose[ \t]+down|\+migrate[ \t]+down|\+micrate[ \t]+down|migrate:down|//@undo)\b",
    re.IGNORECASE | re.MULTILINE,
)
_META = re.compile(
    r"^[ \t]*(?P<command>\\(?:i|ir|include|include_relative|copy)\b[^\n]*)|(?P<gexec>\\gexec\b)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Step:
    """One statement. at: offset in the file. kind and node: of its tree, '' where there is none.

    problem: id of the rule that says why there is none, and `about` what it is about. block: it stands
    in a DO block (which one), where a condition or a loop may decide whether it runs.
    """

    source: Source
    at: int
    text: str
    kind: str = ""
    node: Node = field(default_factory=dict)
    place: Place | None = None
    problem: str | None = None
    about: str = ""
    block: str = ""
    sql: str = ""


def steps(source: Source) -> Iterator[Step]:
    """The statements of a file in order; what its down part holds is left out, and said to be."""
    down = _DOWN.search(source.text)
    if down:
        text = source.text[: down.start()]
        source = Source(source.name, text, source.ignored)
    found = [*_commands(source), *(s for p in places(source) for s in _placed(p))]
    yield from sorted(found, key=lambda s: s.at)
    if down:
        yield Step(source, down.start(), down.group().strip(), problem="down-part")


def _commands(source: Source) -> Iterator[Step]:
    for command in _META.finditer(source.text):
        text = (command["command"] or command["gexec"]).strip()
        at = command.start("command") if command["command"] else command.start("gexec")
        copied = re.match(r"\\copy\s+(?P<what>[^(].*?)\s+from\s", text, re.IGNORECASE | re.DOTALL)
        if copied:
            parsed = _statements(f"COPY {copied['what']} FROM STDIN")
            if parsed:
                yield Step(source, at, text, "CopyStmt", parsed[0]["stmt"]["CopyStmt"])
                continue
        if not re.match(r"\\copy\b.*\bto\b", text, re.IGNORECASE):
            problem = "dynamic" if text.startswith(r"\gexec") else "include"
            yield Step(source, at, text, problem=problem, about=text)


def _statements(text: str) -> list[Node]:
    try:
        return statements(text)
    except DefinitionError:
        return []


def excerpt(text: str) -> str:
    """A statement on one line, without comments, cut."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = " ".join(text.split()).rstrip(" ;")
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _placed(place: Place) -> Iterator[Step]:
    piece, source = place.piece, place.source
    if piece.node is None:
        text = excerpt(piece.text)
        if text:
            yield Step(
                source, place.at, text, problem="not-parsed", about=piece.error or "syntax error"
            )
        return
    encoded = piece.text.encode("utf-8", "surrogatepass")
    start = piece.node.get("stmt_location", 0)
    length = piece.node.get("stmt_len") or len(encoded) - start
    text = encoded[start : start + length].decode("utf-8", "replace")
    kind, node = next(iter(piece.node.get("stmt", {}).items()), ("", {}))
    if kind == "DoStmt":
        yield from _block(place, node, text)
    elif kind:
        yield Step(source, place.at, excerpt(text), kind, node, place, sql=text.strip())


def _block(place: Place, node: Node, text: str) -> Iterator[Step]:
    from pglast.parser import ParseError, parse_plpgsql_json

    said = excerpt(text)
    languages = [
        a["DefElem"]["arg"]["String"]["sval"]
        for a in node.get("args", [])
        if a["DefElem"].get("defname") == "language"
    ]
    if languages not in ([], ["plpgsql"]):
        about = f"it is in {languages[0]}"
        yield Step(place.source, place.at, said, problem="block-not-parsed", about=about)
        return
    try:
        parsed = json.loads(parse_plpgsql_json(text))
    except (ParseError, ValueError, RecursionError) as e:
        about = str(e.args[0]) if e.args else "not PL/pgSQL"
        yield Step(place.source, place.at, said, problem="block-not-parsed", about=about)
        return
    body = re.compile(r"\$(?:[^\W\d]\w*)?\$|'").search(place.source.text, place.at)
    begins = body.end() if body else place.at
    where = f"{place.source.name}:{place.at}"
    for problem, query, line in _inside(parsed):
        at = _found(place.source.text, begins, line, query)
        if problem:
            yield Step(
                place.source,
                at,
                excerpt(query),
                problem=problem,
                about=excerpt(query),
                block=where,
                sql=text.strip(),
            )
            continue
        for raw in _statements(query) or [{}]:
            kind, node = next(iter(raw.get("stmt", {}).items()), ("", {}))
            if not kind:
                yield Step(place.source, at, excerpt(query), problem="not-parsed", about="syntax error",
                           block=where, sql=text.strip())  # fmt: skip
                continue
            known = Bytes(query)
            offset = functools.partial(_within, at, known)
            inner = Place(place.source, at, offset, Piece(query, at, raw))
            yield Step(
                place.source, at, excerpt(query), kind, node, inner, block=where, sql=text.strip()
            )


def _within(begins: int, known: Bytes, offset: int) -> int:
    return begins + known.character(offset)


_SQL = {
    "PLpgSQL_stmt_execsql": "sqlstmt",
    "PLpgSQL_stmt_perform": "expr",
    "PLpgSQL_stmt_call": "expr",
}


def _inside(node: Any) -> Iterator[tuple[str | None, str, int]]:
    """(rule that says why it cannot be followed, or None; SQL; line in the body) of a block's tree."""
    if isinstance(node, list):
        for item in node:
            yield from _inside(item)
        return
    if not isinstance(node, dict):
        return
    for kind, value in node.items():
        if kind in _SQL and isinstance(value, dict):
            expression = value.get(_SQL[kind], {}).get("PLpgSQL_expr", {})
            yield None, expression.get("query", ""), value.get("lineno", 1)
        elif kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors") and isinstance(
            value, dict
        ):
            query = value.get("query", {}).get("PLpgSQL_expr", {}).get("query", "")
            literal = _literal(query)
            if literal is None:
                yield "dynamic", query, value.get("lineno", 1)
            else:
                yield None, literal, value.get("lineno", 1)
            yield from _inside(value.get("body"))
        else:
            yield from _inside(value)


def _literal(expression: str) -> str | None:
    """The text of an expression that is one string literal."""
    parsed = _statements(f"SELECT {expression}")
    targets = (
        parsed[0]["stmt"].get("SelectStmt", {}).get("targetList", []) if len(parsed) == 1 else []
    )
    found = string(targets[0].get("ResTarget", {}).get("val")) if len(targets) == 1 else None
    return found[0] if found else None


def _found(text: str, begins: int, line: int, query: str) -> int:
    """Where a statement of a block stands: at its first words from its line on, else that line."""
    start = begins
    for _ in range(line - 1):
        following = text.find("\n", start)
        if following < 0:
            break
        start = following + 1
    words = query.split()[:2]
    at = text.find(words[0], start) if words else -1
    if words and words[0] == "SELECT" and not text.startswith("SELECT", start):
        performed = re.compile(r"perform\b", re.IGNORECASE).search(text, start, start + 400)
        at = performed.start() if performed else at
    leading = re.compile(r"\s*").match(text, start)
    return at if 0 <= at < start + 400 else (leading.end() if leading else start)
