"""Statements that put registrations right, for people to read and paste.

Each was seen to work on the real extension; none touches rows. They need the catalog's owner.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from pgtv.catalog.dialects.base import Dialect, ident, literal
from pgtv.catalog.plans import EMPTY

META = "tviews.pg_tview_meta"  # for the statements that provoke checks

# What each release's install script says of its catalog, and so what its library insists on.
REVISIONS: Mapping[str, int] = {
    "0.1.0-beta.20": 1, "0.1.0-beta.21": 2, "0.1.0-beta.22": 2, "0.1.0-beta.23": 3,
    "0.1.0-beta.24": 3, "0.1.0-beta.25": 3, "0.1.0-beta.26": 4, "0.1.0-beta.27": 5,
    "0.1.0-beta.28": 6, "0.1.0-beta.29": 7, "0.1.0-beta.30": 8, "0.1.0-beta.31": 9,
    "0.1.0-beta.32": 9, "0.1.0-beta.33": 9, "0.1.0-beta.34": 10,
}  # fmt: skip

STUB = "pgtv_empty"  # a table that is there for the time of a transaction
_INSIDE = "read inside "  # how the extension's plans say why they hold a table


def viewdef(view: str) -> str:
    """An expression for a view's query; run it with a pinned search_path, so that it qualifies."""
    return f"pg_catalog.rtrim(pg_catalog.pg_get_viewdef({literal(view)}::regclass), ';')"


def insert(dialect: Dialect, schema: str, entity: str, table: str, view: str) -> str:
    """A registration made of what is still there; re-registering derives the rest.

    The empty plan, not `{}`: re-registering one TVIEW fails while another's plan is unreadable.
    """
    return (
        f"INSERT INTO {dialect.qualified_meta(schema)}"
        " (entity, table_oid, view_oid, definition, plan, needs_reregister)\n"
        f"VALUES ({literal(entity)}, {literal(table)}, {literal(view)},\n"
        f"        {viewdef(view)}, {literal(EMPTY)}, true)\nON CONFLICT (entity) DO NOTHING;"
    )


def rebind(
    dialect: Dialect, schema: str, entity: str, *, table: str | None = None, view: str | None = None
) -> str:
    """Point a registration at its table and backing view, by their names."""
    names = {"table_oid": table, "view_oid": view}
    columns = [f"{column} = {literal(name)}" for column, name in names.items() if name]
    return _update(dialect, schema, [*columns, "needs_reregister = true"], [entity])


def empty_plans(dialect: Dialect, schema: str, entities: Iterable[str]) -> str:
    """Plans that the library can read and that say nothing, until re-registering derives them."""
    return _update(
        dialect, schema, [f"plan = {literal(EMPTY)}", "needs_reregister = true"], entities
    )


def rename(dialect: Dialect, schema: str, entity: str, to: str) -> str:
    """Register under another entity."""
    return _update(
        dialect, schema, [f"entity = {literal(to)}", "needs_reregister = true"], [entity]
    )


def definition_of_view(dialect: Dialect, schema: str, entity: str, view: str) -> str:
    """Store the backing view's query as the definition."""
    return _update(dialect, schema, [f"definition = {viewdef(view)}"], [entity])


def no_group_keys(dialect: Dialect, schema: str, entity: str) -> str:
    return _update(dialect, schema, ["group_keys = NULL"], [entity])


# Columns of the catalog row that registering does not derive, with their types and defaults. A saved
# row brings them back; OIDs stand in it as names.
KEPT: Mapping[str, tuple[str, Any]] = {
    "created_at": ("timestamptz", None),
    "graphql_typename": ("text", None),
    "group_keys": ("jsonb", None),
    "uncascaded_policy": ("text", "error"),
    "uncascaded_table_oids": ("regclass[]", []),
    "uncascaded_table_policies": ("text[]", []),
    "function_read_functions": ("text[]", []),
    "function_read_tables": ("regclass[]", []),
    "time_refresh": ("text", None),
    "managed_index_names": ("text[]", []),
    "declared_indexes": ("jsonb", []),
}


def restorable(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Of a catalog row, what re-registering would not bring back, where it is no default."""
    return {
        column: raw[column]
        for column, (_, default) in KEPT.items()
        if column in raw and raw[column] not in (None, default)
    }


def row_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The columns in which the extension keeps these options; those of storage stay in the table."""
    found: dict[str, Any] = {
        column: options.get(option)
        for option, column in (
            ("uncascaded_policy", "uncascaded_policy"),
            ("typename", "graphql_typename"),
            ("time_refresh", "time_refresh"),
            ("group_keys", "group_keys"),
            ("indexes", "declared_indexes"),
        )
    }
    tables = options.get("uncascaded_tables")
    if isinstance(tables, dict):
        found["uncascaded_table_oids"] = list(tables)
        found["uncascaded_table_policies"] = list(tables.values())
    reads = options.get("function_reads")
    if isinstance(reads, dict):
        pairs = [(f, t) for f, read in reads.items() for t in (read or [None])]
        found["function_read_functions"] = [f for f, _ in pairs]
        found["function_read_tables"] = [t for _, t in pairs]
    return restorable(found)


def restore(
    dialect: Dialect,
    schema: str,
    entity: str,
    table: str,
    view: str,
    definition: str,
    row: Mapping[str, Any],
    now: Mapping[str, Any],
) -> str:
    """A registration as it was, over whatever stands under its entity.

    row: of `restorable`. now: the catalog row that stands there, empty where none does: what `row`
    lacks goes back to its default there. The plan is left to re-registering.
    """
    values = {
        "entity": literal(entity),
        "table_oid": literal(table),
        "view_oid": literal(view),
        "plan": literal(EMPTY),
        "needs_reregister": "true",
        "definition": quoted(definition),
    }
    for column, (kind, default) in KEPT.items():
        if column in row:
            values[column] = typed(row[column], kind)
        elif column != "created_at" and now.get(column, default) != default:
            values[column] = typed(default, kind)
    renewed = ", ".join(f"{c} = EXCLUDED.{c}" for c in values if c != "entity")
    return (
        f"INSERT INTO {dialect.qualified_meta(schema)}\n{_wrapped('(' + ', '.join(values) + ')')}\n"
        f"VALUES ({', '.join(values.values())})\n"
        f"ON CONFLICT (entity) DO UPDATE SET\n{_wrapped(renewed)};"
    )


def _wrapped(text: str) -> str:
    """A list of plain names on lines that a terminal holds."""
    return textwrap.fill(text, 78, initial_indent="       ", subsequent_indent="       ")


def typed(value: Any, kind: str) -> str:
    """A JSON value as an SQL expression of a type."""
    if value is None:
        return "NULL"
    if kind == "jsonb":
        return literal(json.dumps(value, ensure_ascii=False))
    if kind.endswith("[]"):
        items = ", ".join("NULL" if v is None else literal(str(v)) for v in value)
        return f"ARRAY[{items}]::{kind}"
    return literal(str(value))


def trust(dialect: Dialect, schema: str, entity: str) -> str:
    """Say that the rows of an UNLOGGED TVIEW are right; else its next write would refill it."""
    return (
        f"INSERT INTO {ident(schema)}.{ident(dialect.valid)} (entity)\n"
        f"VALUES ({literal(entity)}) ON CONFLICT DO NOTHING;"
    )


def forget_indexes(dialect: Dialect, schema: str, entity: str, names: Iterable[str]) -> str:
    """Take names off the list of indexes that the extension made; the indexes themselves are gone."""
    gone = ", ".join(literal(n) for n in names)
    kept = (
        "managed_index_names = ARRAY(SELECT n FROM pg_catalog.unnest(managed_index_names) n"
        f" WHERE n <> ALL (ARRAY[{gone}]::text[]))"
    )
    return _update(dialect, schema, [kept], [entity])


def delete(dialect: Dialect, schema: str, entity: str) -> str:
    """Take a registration away; its table, view and triggers stay."""
    return f"DELETE FROM {dialect.qualified_meta(schema)} WHERE entity = {literal(entity)};"


def create(table: str, definition: str, options: Mapping[str, Any]) -> str:
    """Create the TVIEW anew, filled. An option left out goes to its default."""
    return (
        f"SELECT tviews.pg_tviews_create({literal(table)},\n{quoted(definition)},\n"
        f"{literal(json.dumps(dict(options), ensure_ascii=False))});"
    )


def create_for(
    owner: str, entity: str, table: str, definition: str, options: Mapping[str, Any]
) -> tuple[str, ...]:
    """Create the TVIEW anew as `owner`'s, filled; the statements belong into one transaction.

    A definition may call what its owner wrote, and whoever runs this is mostly a superuser. SET ROLE
    would not confine it, and creating a TVIEW runs its definition as whoever creates it. Replacing one
    does not: the extension fills it as its owner, in a security-restricted operation. So what is
    created is an empty one, of a table that was made here, and it is the owner's when it is replaced.

    table: schema and name, the name always quoted.
    """
    schema = table.removesuffix("." + ident(f"tv_{entity}"))
    stub = f"{schema}.{ident(STUB)}"
    key = ident(f"pk_{entity}")
    return (
        f"CREATE TABLE {stub} ({key} bigint PRIMARY KEY);",
        f"GRANT SELECT ON {stub} TO {ident(owner)};",
        create(table, f"SELECT s.{key} FROM {stub} s", {}),
        f"ALTER TABLE {table} OWNER TO {ident(owner)};",
        replace(table, definition, options),
        f"DROP TABLE {stub};",
    )


def replace(table: str, definition: str, options: Mapping[str, Any]) -> str:
    """Say definition and options again. An option left out goes to its default."""
    return create(table, definition, options).replace("_create(", "_create_or_replace(", 1)


def function_reads(plan: Any) -> dict[str, list[str]]:
    """The tables that a plan holds because a function reads them, by function: its option's form."""
    found: dict[str, list[str]] = {}
    for entry in plan.get("tables", ()) if isinstance(plan, dict) else ():
        reason = str(entry.get("reason") or "")
        if reason.startswith(_INSIDE):
            found.setdefault(reason.removeprefix(_INSIDE), []).append(str(entry["table"]))
    return found


def options_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a catalog row still tells, where the registry no longer lists them."""
    found: dict[str, Any] = {}
    for option, column, default in (
        ("uncascaded_policy", "uncascaded_policy", "error"),
        ("typename", "graphql_typename", None),
        ("time_refresh", "time_refresh", None),
        ("group_keys", "group_keys", None),
        ("indexes", "declared_indexes", []),
    ):
        value = raw.get(column)
        if value not in (default, None):
            found[option] = value
    tables, policies = raw.get("uncascaded_table_oids"), raw.get("uncascaded_table_policies")
    if isinstance(tables, list) and isinstance(policies, list) and tables:
        found["uncascaded_tables"] = dict(zip(tables, policies, strict=False))
    reads: dict[str, list[Any]] = {}
    functions, read = raw.get("function_read_functions"), raw.get("function_read_tables")
    if isinstance(functions, list) and isinstance(read, list):
        for function, relation in zip(functions, read, strict=False):
            reads.setdefault(str(function), []).extend([relation] if relation else [])
    if reads:
        found["function_reads"] = reads
    return found


def quoted(text: str) -> str:
    """Dollar quotes keep a definition readable; a tag that the text does not contain."""
    tag = "$def$"
    while tag in text or text.endswith(tag[:-1]):
        tag = tag[:-1] + "_$"
    return f"{tag}{text}{tag}"


def argument(schema: str | None, entity: str) -> str:
    """How the extension's functions are told a TVIEW, also when its table is gone or renamed."""
    name = ident("tv_" + entity)
    return name if schema is None else f"{ident(schema)}.{name}"


def _update(
    dialect: Dialect, schema: str, assignments: Iterable[str], entities: Iterable[str]
) -> str:
    chosen = [literal(e) for e in entities]
    where = f"= {chosen[0]}" if len(chosen) == 1 else f"IN ({', '.join(chosen)})"
    return (
        f"UPDATE {dialect.qualified_meta(schema)}\n   SET {', '.join(assignments)}\n"
        f" WHERE entity {where};"
    )
