"""Registrations as SQL files define them: migrations, and what somebody wrote down."""

from __future__ import annotations

from typing import Any

from pgtv.catalog.dialects import registering
from pgtv.errors import UsageError
from pgtv.repairs.registered import Registration, Source, query_of


def from_sql(path: str, text: str) -> Source:
    """What an SQL file (a migration) defines; the last definition of a TVIEW counts.

    Raises UsageError where it defines none.
    """
    from pgtv.lint.facts import Definition, Facts
    from pgtv.lint.files import read_file
    from pgtv.lint.source import Source as File

    facts = Facts()
    file = File(path, text)
    read_file(file, facts)
    found: dict[str, Registration] = {}
    unusable: dict[str, str] = {}
    for event, what in facts.events:
        if event == "drop":
            found.pop(what[1].removeprefix("tv_"), None)
            continue
        assert isinstance(what, Definition)
        entity = what.table.removeprefix("tv_")
        found.pop(entity, None)
        unusable.pop(entity, None)
        where = f"{path} line {file.position(what.at)[0]}"
        why = _not_literal(what)
        if why:
            unusable[entity] = f"{where}: {why}"
            continue
        options = dict(what.options or {})
        found[entity] = Registration(
            entity=entity,
            schema=what.schema or "public",
            query=query_of(what.query or ""),
            text=query_of(what.query or ""),
            origin=where,
            row=registering.row_of(options),
            options=options,
            reads=_reads(what.node, entity),
        )
    if not found and not unusable:
        raise UsageError(
            f"{path} defines no TVIEW", "a migration that creates it, or a snapshot, is needed"
        )
    return Source(path, found, None, unusable)


def _reads(node: Any, entity: str) -> frozenset[str]:
    """Entities of the tables named tv_… in a definition; what views in between read is not seen."""
    from pgtv.definitions.walk import read

    names = {name for _, name in read(node).relations}
    return frozenset(n[3:] for n in names if n.startswith("tv_")) - {entity}


def _not_literal(definition: Any) -> str | None:
    if definition.error:
        return f"the definition cannot be read: {definition.error}"
    if definition.query is None or definition.node is None:
        return "the definition is not written there, but built at run time"
    if definition.options is None or "" in definition.options:
        return "its options are not written there as JSON"
    return None
