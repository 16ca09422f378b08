"""Statements that make, change or drop tables, views and functions, as far as definitions read them."""

from __future__ import annotations

from pgtv.definitions.parse import Node
from pgtv.lint.facts import PREFIX, Facts, Other, Table
from pgtv.lint.place import Place, name_of, type_of


def create_table(place: Place, node: Node, facts: Facts) -> None:
    schema, name = name_of(node["relation"])
    columns: dict[str, str] = {}
    complete = True
    for element in node.get("tableElts", []):
        if "ColumnDef" in element:
            column = element["ColumnDef"]
            columns[column["colname"]] = type_of(column.get("typeName", {}))
        elif "TableLikeClause" in element:
            complete = False
    partition = "partbound" in node
    parents = tuple(name_of(p["RangeVar"]) for p in node.get("inhRelations", []))
    if partition or parents or "ofTypename" in node:
        complete = False
    facts.add(Table(schema, name, "table", columns if complete else None,
                      () if partition else parents))  # fmt: skip
    if name.startswith(PREFIX) and not partition:
        facts.others.append(Other("plain", place.source, place.at, name))


def view(place: Place, node: Node, facts: Facts) -> None:
    schema, name = name_of(node["view"])
    body = node.get("query", {}).get("SelectStmt")
    facts.add(Table(schema, name, "view", None, (), body, place.source, place.at, place.where))


def alter(_: Place, node: Node, facts: Facts) -> None:
    if "relation" not in node:
        return
    table = facts.table(name_of(node["relation"]))
    if table is None:
        return
    for item in node.get("cmds", []):
        command = item["AlterTableCmd"]
        what = command.get("subtype")
        definition = command.get("def", {})
        if what == "AT_AddColumn" and table.columns is not None:
            column = definition["ColumnDef"]
            table.columns[column["colname"]] = type_of(column.get("typeName", {}))
        elif what == "AT_DropColumn" and table.columns is not None:
            table.columns.pop(command.get("name", ""), None)
        elif what == "AT_AlterColumnType" and table.columns is not None:
            table.columns[command["name"]] = type_of(definition["ColumnDef"].get("typeName", {}))
        elif what == "AT_AddInherit" and "RangeVar" in definition:
            table.inherits = (*table.inherits, name_of(definition["RangeVar"]))


def rename(_: Place, node: Node, facts: Facts) -> None:
    if "relation" not in node:
        return
    schema, name = name_of(node["relation"])
    if node.get("renameType") == "OBJECT_COLUMN":
        table = facts.table((schema, name))
        if table and table.columns is not None and node.get("subname") in table.columns:
            table.columns[node["newname"]] = table.columns.pop(node["subname"])
    elif node.get("renameType") in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"):
        moved = facts.take((schema, name))
        if moved:
            moved.name = node["newname"]
            facts.add(moved)


def drop(_: Place, node: Node, facts: Facts) -> None:
    for item in node.get("objects", []):
        names = [n["String"]["sval"] for n in item.get("List", {}).get("items", [])]
        if names and names[-1].startswith(PREFIX):
            facts.events.append(("drop", (names[-2] if len(names) > 1 else None, names[-1])))


def function(_: Place, node: Node, facts: Facts) -> None:
    volatility = "volatile"
    for option in node.get("options", []):
        element = option["DefElem"]
        if element["defname"] == "volatility":
            volatility = element["arg"]["String"]["sval"]
    facts.functions[node["funcname"][-1]["String"]["sval"]] = volatility
