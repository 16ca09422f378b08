"""Whether PostgreSQL writes a table anew when a column changes its type, or gets a default."""

from __future__ import annotations

from typing import Any

from pgtv.definitions.builtin import VOLATILE
from pgtv.definitions.parse import Node, statements
from pgtv.errors import DefinitionError

Typed = tuple[str, tuple[int, ...], bool]  # name as pg_type has it, modifiers, whether an array

# Binary-coercible pairs (pg_cast.castmethod = 'b'), and those whose modifier may only grow.
_SAME = {
    ("varchar", "text"), ("text", "varchar"), ("cidr", "inet"), ("xml", "text"),
}  # fmt: skip
_GROWING = frozenset(
    {"varchar", "varbit", "time", "timetz", "timestamp", "timestamptz", "interval"}
)
_KNOWN = frozenset(
    {
        "bool", "bpchar", "bytea", "char", "cidr", "date", "float4", "float8", "inet", "int2", "int4",
        "int8", "interval", "json", "jsonb", "macaddr", "money", "name", "numeric", "oid", "text",
        "time", "timestamp", "timestamptz", "timetz", "tsquery", "tsvector", "uuid", "varbit",
        "varchar", "xml", "bit", "point", "box", "int4range", "int8range", "daterange", "numrange",
        "tsrange", "tstzrange",
    }
)  # fmt: skip
SERIAL = frozenset({"serial", "serial2", "serial4", "serial8", "bigserial", "smallserial"})
# Built-in functions that are stable or immutable and seen in defaults; one not known is asked about.
_STEADY = frozenset(
    {
        "now", "statement_timestamp", "transaction_timestamp", "current_setting", "lower", "upper",
        "to_char", "to_timestamp", "jsonb_build_object", "jsonb_build_array", "json_build_object",
        "concat", "date_trunc", "make_interval", "array_fill", "timezone", "coalesce", "to_date",
        "md5", "length", "abs", "date_part", "extract", "int4range", "daterange", "tstzrange",
        "to_tsvector", "string_to_array", "trim", "btrim", "replace", "round",
    }
)  # fmt: skip


def typed(node: Node) -> Typed:
    """The type that a parse tree names."""
    names = [n["String"]["sval"] for n in node.get("names", [])]
    modifiers = []
    for item in node.get("typmods", []):
        value = item.get("A_Const", {}).get("ival")
        modifiers.append(value.get("ival", 0) if isinstance(value, dict) else -1)
    return (names[-1] if names else "", tuple(modifiers), "arrayBounds" in node)


def of_catalog(text: str) -> Typed | None:
    """The type that format_type() spelled; None where that does not parse."""
    try:
        parsed = statements(f"SELECT NULL::{text}")
        value = parsed[0]["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
        return typed(value["TypeCast"]["typeName"])
    except (DefinitionError, LookupError, TypeError):
        return None


def rewrites(old: Typed | None, new: Typed, using: Node | None) -> bool | None:
    """Whether a change of type rewrites the table; None where it depends on what is not known.

    using: the expression of USING; a plain reference or cast of a column is what happens without it.
    """
    if using is not None and not _plain(using):
        return True
    if old is None:
        return None
    if old == new:
        return False
    if old[2] or new[2]:
        return True if old[0] in _KNOWN and new[0] in _KNOWN else None
    (name, before, _), (other, after, _) = old, new
    if name == other == "numeric":
        if not after:
            return False
        if not before:
            return True
        scales = ((*before, 0)[1], (*after, 0)[1])
        return not (after[0] >= before[0] and scales[0] == scales[1])
    if name == other and name in _GROWING:
        return bool(after) and (not before or after[0] < before[0])
    if (name, other) in _SAME:
        return bool(after)
    if {name, other} == {"timestamp", "timestamptz"}:
        return None  # not where the session's time zone is UTC
    return True if name in _KNOWN and other in _KNOWN else None


def _plain(node: Node) -> bool:
    while "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    return "ColumnRef" in node


def volatile(expression: Any, known: dict[str, str]) -> str | None:
    """How a default's worst function is declared: `volatile`, `?` for one not known, None for none.

    known: volatility of the user's functions, by name. The second word is the function's name.
    """
    found = None
    for name in functions(expression):
        if name in VOLATILE or known.get(name) == "volatile":
            return "volatile"
        if name not in _STEADY and name not in known:
            found = f"?{name}"
    return found


def steady(name: str) -> bool:
    """Whether it is a built-in function that is seen in defaults, and changes nothing."""
    return name in _STEADY


def functions(node: Any) -> list[str]:
    """Names of the functions that are called anywhere below a node."""
    if isinstance(node, list):
        return [f for n in node for f in functions(n)]
    if not isinstance(node, dict):
        return []
    call = node.get("FuncCall")
    own = [call["funcname"][-1]["String"]["sval"]] if call else []
    return [*own, *(f for v in node.values() if isinstance(v, dict | list) for f in functions(v))]
