"""Small questions to parse trees: names, locations, mentions."""

from __future__ import annotations

from typing import Any

from pgtv.definitions.parse import Node


def strings(nodes: list[Node] | None) -> list[str] | None:
    return [n["String"]["sval"] for n in nodes] if nodes else None


def mentions(node: Any, name: str) -> bool:
    """Whether a FROM below `node` names `name` without schema."""
    if isinstance(node, list):
        return any(mentions(n, name) for n in node)
    if not isinstance(node, dict):
        return False
    if node.get("relname") == name and "schemaname" not in node:
        return True
    return any(mentions(v, name) for v in node.values())


def name_of(value: Node) -> str | None:
    """The name that PostgreSQL gives an output column without AS, as far as it matters."""
    kind, node = next(iter(value.items())) if value else ("", {})
    if kind == "ColumnRef":
        last = node["fields"][-1]
        return last["String"]["sval"] if "String" in last else None
    if kind == "FuncCall":
        name = node["funcname"][-1]["String"]["sval"]
        return str(name)
    if kind == "TypeCast":
        names = node["typeName"].get("names")
        return name_of(node["arg"]) or (names[-1]["String"]["sval"] if names else None)
    if kind == "A_Indirection":
        last = node["indirection"][-1]
        return last["String"]["sval"] if "String" in last else name_of(node["arg"])
    if kind == "CollateClause":
        return name_of(node["arg"])
    if kind == "CoalesceExpr":
        return "coalesce"
    if kind == "CaseExpr":
        return name_of(node.get("defresult", {})) or "case"
    if kind == "SubLink":
        place = node["subLinkType"]
        if place == "EXISTS_SUBLINK":
            return "exists"
        if place == "ARRAY_SUBLINK":
            return "array"
        targets = node["subselect"]["SelectStmt"].get("targetList")
        if targets:
            target = targets[0]["ResTarget"]
            return target.get("name") or name_of(target.get("val", {}))
    return None


def function_name(node: Node) -> str:
    """The name that a function in FROM goes by when it has no alias."""
    try:
        call = node["functions"][0]["List"]["items"][0]["FuncCall"]
        return str(call["funcname"][-1]["String"]["sval"])
    except (KeyError, IndexError, TypeError):
        return ""


def first_location(node: Any) -> int:
    """The first location below a node, in bytes; -1 where it has none."""
    if isinstance(node, list):
        return next((f for n in node if (f := first_location(n)) >= 0), -1)
    if not isinstance(node, dict):
        return -1
    own = node.get("location")
    if isinstance(own, int) and own >= 0:
        return own
    return next((f for v in node.values() if (f := first_location(v)) >= 0), -1)
