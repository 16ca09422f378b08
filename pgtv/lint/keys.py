"""Rules on the key, the names and the types of a definition's output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgtv.definitions.parse import Node
from pgtv.definitions.reads import WHOLE, Output, Reads
from pgtv.lint.facts import PREFIX, Definition, Facts

LONGEST = 63  # bytes: NAMEDATALEN - 1
_INTEGERS = frozenset({"int2", "int4", "int8", "smallint", "integer", "bigint", "int", "smallserial",
                       "serial", "bigserial", "serial2", "serial4", "serial8"})  # fmt: skip
_TYPES = {  # of functions whose results are one type only
    "jsonb_build_object": "jsonb", "jsonb_agg": "jsonb", "to_jsonb": "jsonb",
    "jsonb_object_agg": "jsonb", "jsonb_build_array": "jsonb", "row_to_json": "json",
    "count": "int8", "gen_random_uuid": "uuid", "lower": "text", "upper": "text", "concat": "text",
    "md5": "text", "to_char": "text", "length": "int4", "row_number": "int8", "rank": "int8",
}  # fmt: skip
_MADE_UP = frozenset({"max", "min", "count", "sum", "avg", "abs", "hashtext", "greatest", "least"})

Add = Callable[..., None]


def key_problems(facts: Facts, definition: Definition, reads: Reads, add: Add) -> None:
    """missing-pk, pk-type, pk-expression, names, duplicate-column, column-type."""
    name = definition.name
    targets = _targets(definition.node)
    by_name = {t.get("name") or _column_name(t): t for t in targets}
    outputs = reads.outputs
    if len(definition.typed_name.encode()) > LONGEST:
        add("name-too-long", f"{definition.typed_name} has {len(definition.typed_name.encode())} "
            f"bytes; names have at most {LONGEST}")  # fmt: skip
        return
    names = [o.name for o in outputs]
    starred = WHOLE in names
    keys = [o for o in outputs if o.name and o.name.startswith("pk_") and len(o.name) > 3]
    wanted = "pk_" + definition.table.removeprefix(PREFIX)
    if not keys:
        if not starred and outputs:
            add("missing-pk", f"{name} puts out no {wanted}", None,
                f"name the key column {wanted}")  # fmt: skip
    else:
        _key(facts, definition, keys[0], by_name.get(keys[0].name), reads, wanted, starred, add)
    for output in outputs:
        if output.name and len(output.name.encode()) > LONGEST:
            add("name-too-long", f"{name}: output column {output.name} has more than {LONGEST} bytes",
                output.location)  # fmt: skip
    seen: set[str] = set()
    for output in outputs:
        if output.name in seen and output.name != WHOLE:
            add("duplicate-column", f"{name} puts out two columns named {output.name}",
                output.location)  # fmt: skip
        if output.name:
            seen.add(output.name)
    for output in outputs:
        expected = {"data": ("jsonb", "json"), "id": ("uuid",)}.get(output.name or "")
        if expected and not reads.set_operation:
            found = type_of(facts, by_name.get(output.name), output)
            if found is not None and found not in expected:
                add("column-type", f"{name}: {output.name} is {found}, not {expected[0]}",
                    output.location)  # fmt: skip


def _key(
    facts: Facts, definition: Definition, key: Output, target: Node | None, reads: Reads,
    wanted: str, starred: bool, add: Add,
) -> None:  # fmt: skip
    name, entity = definition.name, (key.name or "").removeprefix("pk_")
    if key.name != wanted and not starred:
        add("name-mismatch", f"{name} is keyed on {key.name}, its first pk_ column, not {wanted}",
            key.location, f"name the table {PREFIX}{entity}, or put {wanted} first")  # fmt: skip
    if not all(c.isalnum() or c == "_" for c in entity) or entity[:1].isnumeric():
        add("entity-name", f"{name}: the entity {entity!r} may have letters, digits and underscores "
            "only, no digit first", key.location)  # fmt: skip
    found = type_of(facts, target, key)
    if found is not None and found not in _INTEGERS:
        add("pk-type", f"{name}: {key.name} is {found}, and has to be an integer", key.location)
    options = definition.options
    declared = options is None or options.get("uncascaded_policy") in ("warn", "full_refresh")
    value = (target or {}).get("val", {})
    kind, node = next(iter(value.items())) if value else ("", {})
    made_up = kind in ("A_Const", "CoalesceExpr", "CaseExpr", "SubLink", "MinMaxExpr") or (
        kind == "FuncCall"
        and node["funcname"][-1]["String"]["sval"] in _MADE_UP
        and "over" not in node
    )
    if made_up and not declared and not reads.set_operation and reads.relations:
        add("pk-expression", f"{name}: {key.name} is no column of a table", key.location)


def _targets(node: Node | None) -> list[Node]:
    while node and node.get("op", "SETOP_NONE") != "SETOP_NONE":
        node = node["larg"]
    return [t["ResTarget"] for t in (node or {}).get("targetList", [])]


def _column_name(target: Node) -> str | None:
    fields = target.get("val", {}).get("ColumnRef", {}).get("fields")
    return fields[-1]["String"]["sval"] if fields and "String" in fields[-1] else None


def type_of(facts: Facts, target: Node | None, output: Output) -> str | None:
    """The type of an output column where text alone tells it; None for unknown."""
    value: dict[str, Any] = (target or {}).get("val", {})
    kind, node = next(iter(value.items())) if value else ("", {})
    if kind == "TypeCast":
        names = node["typeName"].get("names", [])
        return str(names[-1]["String"]["sval"]) if names else None
    if kind == "FuncCall":
        return _TYPES.get(node["funcname"][-1]["String"]["sval"])
    if kind == "A_Const":
        return "int4" if "ival" in node else None
    if kind == "ColumnRef" and len(output.columns) == 1:
        relation, column = next(iter(output.columns))
        table = facts.table(relation)
        if table is not None and table.kind == "table" and table.columns is not None:
            found = table.columns.get(column)
            # domains and types made in the files may stand on anything
            return found if found in _KNOWN else None
    return None


_KNOWN = _INTEGERS | {
    "text", "varchar", "bpchar", "uuid", "numeric", "jsonb", "json", "bool", "date", "timestamptz",
    "timestamp", "float8", "float4", "bytea",
}  # fmt: skip
