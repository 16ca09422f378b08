"""Rules on how a definition is written down, its options, and the relations that it names."""

from __future__ import annotations

from pgtv.catalog.dialects.base import OPTIONS
from pgtv.definitions.reads import Reads
from pgtv.lint.facts import Definition
from pgtv.lint.found import Add, Found

_POLICIES = ("error", "full_refresh", "warn")
_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})


def form(definition: Definition, reads: Reads, add: Add) -> None:
    into = definition.into
    if into is None:
        return
    refused = {
        "a temporary table": into["rel"].get("relpersistence") == "t",
        "a column list": "colNames" in into,
        "TABLESPACE": "tableSpaceName" in into,
        "USING": "accessMethod" in into,
        "WITH NO DATA": into.get("skipData", False),
    }
    for option in into.get("options", []):
        name = option["DefElem"]["defname"]
        if name not in ("fillfactor", "toast_tuple_target"):
            refused[f"storage parameter {name}"] = True
    for what, is_so in refused.items():
        if is_so:
            add("create-form", f"{definition.name}: {what} is not possible for a TVIEW")
    for level in reads.levels:
        if level.place in ("ANY", "ALL"):
            add(
                "in-subquery",
                f"{definition.name}: CREATE TABLE … AS is refused with a comparison against a "
                "sub-select",
                level.location,
                "write EXISTS, or create it by the function",
            )
            break


def options(definition: Definition, add: Add) -> None:
    given = definition.options or {}
    for name, value in given.items():
        if name == "":
            add("option", f"{definition.name}: options are not a JSON object: {value!r:.60}")
        elif name not in OPTIONS:
            known = ", ".join(sorted(OPTIONS))
            add("option", f"{definition.name}: unknown option {name!r}", None, f"known: {known}")
    policy = given.get("uncascaded_policy", "error")
    if policy not in _POLICIES:
        add("option", f"{definition.name}: uncascaded_policy is one of {', '.join(_POLICIES)}")


def declared(definition: Definition) -> bool:
    """Whether writes that cannot be traced were declared, or may have been."""
    given = definition.options
    return given is None or (
        given.get("uncascaded_policy") in ("warn", "full_refresh")
        or bool(given.get("uncascaded_tables"))
    )


def relations(found: Found, definition: Definition, reads: Reads, add: Add) -> None:
    facts = found.facts
    if not reads.relations:
        add("no-table", f"{definition.name} reads no table: nothing could ever refresh it")
    for (schema, name), location in reads.relations.items():
        table = facts.table((schema, name))
        own = found.latest.get(name)
        if schema in _SYSTEM_SCHEMAS or (table is None and own is None and name.startswith("pg_")):
            add("system-catalog", f"{definition.name} reads {name}, a system catalog", location)
        elif table is None and own is None and facts.tables:
            if name not in found.named:
                full = f"{schema}.{name}" if schema else name
                add("unknown-relation", f"{definition.name} reads {full}, which no file defines",
                    location, _near(name, definition, found))  # fmt: skip
        elif table is not None and table.kind == "matview" and not declared(definition):
            add("materialized-view",
                f"{definition.name} reads the materialized view {name}: REFRESH fires no trigger",
                location)  # fmt: skip
        if table is not None and (schema, name) in reads.inherited:
            child = found.children.get((table.schema or "public", table.name))
            if child is not None:
                add("inheritance", f"{definition.name} reads {name} with its child {child}",
                    location, f"read FROM ONLY {name}, or partition it")  # fmt: skip
    for relation, column in reads.unknown:
        add("unknown-column", f"{definition.name} reads {relation[1]}.{column}, which has no such "
            "column", reads.unknown[relation, column])  # fmt: skip


def _near(name: str, definition: Definition, found: Found) -> str:
    """Names like it that it may have meant; not the TVIEW's own, which would be a cycle."""
    import difflib

    names = [n for _, n in found.facts.tables]
    names += [n for n, one in found.latest.items() if one is not definition]
    close = difflib.get_close_matches(name, names, 2)
    return f"near: {', '.join(close)}" if close else ""
