"""SQL text to parse trees as plain dictionaries: the fastest form that pglast offers.

`parse_sql_json` and `json.loads` take a quarter of the time of pglast's classes; trees look like
`{"SelectStmt": {...}}`, with enumerations as words, zero values left out, and locations in bytes of
the UTF-8 text.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from pgtv.errors import DefinitionError

Node = dict[str, Any]


def statements(sql: str) -> list[Node]:
    """The raw statements: `stmt`, and `stmt_location` and `stmt_len` in bytes.

    Raises DefinitionError with the position of a syntax error, in characters.
    """
    from pglast import parser

    try:
        parsed = json.loads(parser.parse_sql_json(sql))
    except parser.ParseError as e:
        message, position = str(e.args[0]), e.args[1] if len(e.args) > 1 else None
        raise DefinitionError(
            message.split(", at index")[0],
            "the definition has to be one SELECT as PostgreSQL reads it",
            position if isinstance(position, int) and position >= 0 else None,
        ) from None
    except (ValueError, RecursionError) as e:
        # NUL bytes, lone surrogates, nesting deeper than the parser or Python go
        raise DefinitionError(f"the text cannot be parsed: {e}") from None
    found = parsed.get("stmts", [])
    return found if isinstance(found, list) else []


@functools.lru_cache(maxsize=4096)
def select(sql: str) -> Node:
    """The one SelectStmt of a definition; the same tree each time, which nobody may change.

    Raises DefinitionError for a syntax error and for anything but exactly one SELECT.
    """
    found = statements(sql)
    if len(found) != 1:
        raise DefinitionError(f"a definition is one SELECT, and this has {len(found)} statements")
    node = found[0].get("stmt", {}).get("SelectStmt")
    if not isinstance(node, dict) or "intoClause" in node:
        raise DefinitionError("a definition is a SELECT, and this is another statement")
    return node
