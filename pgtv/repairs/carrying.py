"""Carries definitions of an early generation over: there TVIEWs embed each other by their views.

Up to beta.19 a definition reads `v_user` to embed `tv_user`; current releases read the table itself.
Only the relation's name changes: what it was called in the query stays its alias.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot
from pgtv.definitions.parse import select

Name = tuple[str, str]
_QUALIFIED = re.compile(r'(?:"(?:[^"]|"")*"|[^\s".(),]+)\s*\.\s*(?:"(?:[^"]|"")*"|[^\s".(),;]+)')


def tables_of_views(snapshot: Snapshot) -> dict[Name, Name]:
    """The table of each TVIEW by its backing view, both by schema and name."""
    found = {}
    for tview in snapshot.tviews:
        table, view = snapshot.by_oid.get(tview.table_oid), snapshot.by_oid.get(tview.view_oid)
        if table and view:
            found[view.schema, view.name] = (table.schema, table.name)
    return found


def carried(query: str, tables: Mapping[Name, Name]) -> str:
    """`query`, whose names are qualified, reading tables instead of their backing views.

    Raises DefinitionError for text that is not one SELECT.
    """
    encoded = query.encode()
    for location, schema, name, aliased in sorted(_relations(select(query)), reverse=True):
        table = tables.get((schema, name))
        if table is None:
            continue
        before, after = encoded[:location].decode(), encoded[location:].decode()
        spelled = _QUALIFIED.match(after)
        if spelled is None:
            continue
        alias = "" if aliased else f" {ident(name)}"
        new = f"{ident(table[0])}.{ident(table[1])}{alias}"
        encoded = (before + new + after[spelled.end() :]).encode()
    return encoded.decode()


def _relations(node: Any) -> Iterator[tuple[int, str, str, bool]]:
    """Byte location, schema, name and whether it has an alias, of each qualified relation."""
    if isinstance(node, list):
        for one in node:
            yield from _relations(one)
    elif isinstance(node, dict):
        if "relname" in node and "schemaname" in node:
            yield node.get("location", 0), node["schemaname"], node["relname"], "alias" in node
        for one in node.values():
            yield from _relations(one)
