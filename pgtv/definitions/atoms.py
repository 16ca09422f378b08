"""What two texts of one query share whatever PostgreSQL's printing changed: constants, functions,
operators, columns and clauses.

The author's text and pg_get_viewdef's differ in names, casts, parentheses and the spelling of
operators, so trees cannot be compared. What a query is made of survives printing, with exceptions that
are known: `differences` reports only what none of them explains, so it misses much and invents nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from pgtv.definitions.parse import select

_TEXT = frozenset({"text", "varchar", "bpchar", "name"})
_NUMBER = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8"})
# what the parser makes of these, and the printer writes out
_BETWEEN = {
    "AEXPR_BETWEEN": (">=", "<="), "AEXPR_BETWEEN_SYM": (">=", "<="),
    "AEXPR_NOT_BETWEEN": ("<", ">"), "AEXPR_NOT_BETWEEN_SYM": ("<", ">"),
}  # fmt: skip
_CLAUSES = {
    "whereClause": "WHERE", "havingClause": "HAVING", "groupClause": "GROUP BY",
    "limitCount": "LIMIT", "limitOffset": "OFFSET", "distinctClause": "DISTINCT",
    "agg_filter": "FILTER",
}  # fmt: skip


@dataclass
class Atoms:
    """Of one text: `literals` are strings of a character type or without one, `typed` the others."""

    literals: set[str] = field(default_factory=set)
    typed: set[str] = field(default_factory=set)
    numbers: set[Decimal] = field(default_factory=set)
    booleans: bool = False
    functions: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)  # names given to output columns
    whole: bool = False  # has a star, or a join that names no columns
    clauses: Counter[str] = field(default_factory=Counter)


def atoms(sql: str) -> Atoms:
    """Raises DefinitionError for what is not exactly one SELECT."""
    found = Atoms()
    _walk({"SelectStmt": select(sql)}, found)
    return found


def differences(author: Atoms, printed: Atoms, real: set[str]) -> Iterator[tuple[str, str, str]]:
    """(what, only in the author's text, only in the printed one); an empty side is ''.

    real: names of the columns of what is read. A name that is none of them is an alias, or was
    renamed since, and then nothing is said about columns.
    """
    numeric = author.numbers | {n for s in author.literals | author.typed if (n := _number(s))}
    strange = printed.literals - author.literals - author.typed
    if strange:
        yield "text", "", _listed(strange)
    if printed.numbers - numeric:
        yield "number", "", _listed(map(str, printed.numbers - numeric))
    # a literal that took another type is printed as that type does, 'yes' as true
    if not printed.typed and not printed.booleans and printed.numbers <= author.numbers:
        lost = author.literals - printed.literals
        if lost:
            yield "text", _listed(lost), ""
    # text(x) may be printed as a cast
    functions = (
        author.functions - printed.functions - printed.types,
        printed.functions - author.functions,
    )
    operators = author.operators - printed.operators, printed.operators - author.operators
    for what, (left, right) in (("function", functions), ("operator", operators)):
        if left or right:
            yield what, _listed(left), _listed(right)
    # ORDER BY and GROUP BY may name an output column, which is printed as its expression
    columns = (
        author.columns - printed.columns - author.outputs,
        printed.columns - author.columns - author.outputs,
    )
    if not (author.whole or printed.whole) and any(columns) and columns[0] | columns[1] <= real:
        yield "column", _listed(columns[0]), _listed(columns[1])
    for clause in sorted(author.clauses.keys() | printed.clauses.keys()):
        if author.clauses[clause] != printed.clauses[clause]:
            yield clause, str(author.clauses[clause]), str(printed.clauses[clause])


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))


def _walk(node: Any, found: Atoms) -> None:
    if isinstance(node, list):
        for element in node:
            _walk(element, found)
        return
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        if name == "TypeName" or name == "typeName":
            found.types.add(_last(value.get("names")))
        elif name == "A_Const":
            _constant(value, None, found)
        elif name == "TypeCast":
            _cast(value, found)
        elif name == "ColumnRef":
            _column(value, found)
        else:
            _note(name, value, found)
            _walk(value, found)


def _note(name: str, value: Any, found: Atoms) -> None:
    if name == "FuncCall":
        found.functions.add(_last(value["funcname"]))
    elif name == "A_Expr":
        kind = value["kind"]
        if kind in _BETWEEN:
            found.operators.update(_BETWEEN[kind])
        elif kind in ("AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"):
            found.operators.add("IS DISTINCT FROM")
        elif kind == "AEXPR_NULLIF":
            found.operators.add("NULLIF")
        else:
            found.operators.add(_last(value.get("name")))
    elif name == "A_Indirection":
        found.columns.update(
            s for i in value.get("indirection", ()) if (s := i.get("String", {}).get("sval"))
        )
        found.whole |= any("A_Star" in i for i in value.get("indirection", ()))
    elif name == "JoinExpr":
        found.clauses[value.get("jointype", "JOIN").replace("_", " ")] += 1
        found.whole |= bool(value.get("isNatural"))
        found.columns.update(_last([c]) for c in value.get("usingClause", ()))
    elif name in ("SelectStmt", "larg", "rarg"):
        _select(value, found)
    elif name == "agg_filter":
        found.clauses[_CLAUSES[name]] += 1


def _select(node: dict[str, Any], found: Atoms) -> None:
    if node.get("op", "SETOP_NONE") != "SETOP_NONE":
        all_ = " ALL" if node.get("all") else ""
        found.clauses[node["op"].removeprefix("SETOP_") + all_] += 1
    for clause, word in _CLAUSES.items():
        if clause in node:
            found.clauses[word] += 1
    found.outputs.update(
        name for t in node.get("targetList", ()) if (name := t.get("ResTarget", {}).get("name"))
    )


def _cast(node: dict[str, Any], found: Atoms) -> None:
    type_name = node["typeName"]
    kind = _last(type_name.get("names"))
    found.types.add(kind)
    if "A_Const" in node["arg"]:
        _constant(node["arg"]["A_Const"], "[]" if type_name.get("arrayBounds") else kind, found)
    else:
        _walk(node["arg"], found)


def _constant(node: dict[str, Any], kind: str | None, found: Atoms) -> None:
    if "sval" in node:
        text = node["sval"].get("sval", "")
        number = _number(text) if kind in _NUMBER else None
        if number is not None:
            found.numbers.add(number)
        elif kind is None or kind in _TEXT:
            found.literals.add(text)
        else:
            found.typed.add(text)
    elif "ival" in node:
        found.numbers.add(Decimal(node["ival"].get("ival", 0)))
    elif "fval" in node:
        number = _number(node["fval"].get("fval", ""))
        if number is not None:
            found.numbers.add(number)
    elif "boolval" in node:
        found.booleans = True


def _column(node: dict[str, Any], found: Atoms) -> None:
    last = node["fields"][-1]
    if "A_Star" in last:
        found.whole = True
    else:
        found.columns.add(_last(node["fields"]))


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _last(names: Any) -> str:
    """The last part of a qualified name."""
    return str(names[-1].get("String", {}).get("sval", "")) if names else ""
