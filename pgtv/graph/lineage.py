"""Definitions of a snapshot, read and resolved to its relations: the first of the graph's sources.

The backing view's text comes from the server, so its names are complete; the TVIEW's own text is
what somebody wrote, and serves where the view is gone or could not be read without waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pgtv.catalog.model import Snapshot, Tview
from pgtv.definitions.reads import EXISTENCE, WHOLE, Column, Reads, Relation
from pgtv.definitions.walk import read
from pgtv.errors import DefinitionError


@dataclass(frozen=True)
class Lineage:
    """What one definition reads. relations: names as written to OIDs of the snapshot."""

    reader: int  # OID of the view or, for a TVIEW, of its table
    reads: Reads | None
    relations: dict[Relation, int] = field(default_factory=dict)
    unresolved: tuple[Relation, ...] = ()  # names that no relation of the snapshot has
    error: str | None = None


class Names:
    """Relations of a snapshot by name: qualified, or unqualified where only one has that name."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.qualified = {(r.schema, r.name): r.oid for r in snapshot.relations}
        self.bare: dict[str, list[int]] = {}
        for relation in snapshot.relations:
            self.bare.setdefault(relation.name, []).append(relation.oid)

    def find(self, name: Relation, near: str | None = None) -> int | None:
        """The OID; of several with an unqualified name the one in schema `near`, else none."""
        schema, relname = name
        if schema is not None:
            return self.qualified.get((schema, relname))
        found = self.bare.get(relname, [])
        if len(found) == 1:
            return found[0]
        return self.qualified.get((near or "public", relname)) if found else None

    def columns(self, name: Relation) -> list[str] | None:
        oid = self.find(name)
        if oid is None:
            return None
        return [c.name for c in self.snapshot.by_oid[oid].columns] or None


def of_text(names: Names, reader: int, text: str, near: str | None = None) -> Lineage:
    """A definition's text, resolved; with `error` and no reads where it cannot be parsed."""
    try:
        reads = read(text, names.columns)
    except DefinitionError as e:
        return Lineage(reader, None, error=e.message)
    found: dict[Relation, int] = {}
    unresolved = []
    for name in reads.relations:
        oid = names.find(name, near)
        if oid is None:
            unresolved.append(name)
        else:
            found[name] = oid
    return Lineage(reader, reads, found, tuple(unresolved))


def lineages(snapshot: Snapshot) -> Iterator[Lineage]:
    """One for each TVIEW, helper view and materialized view of the snapshot."""
    names = Names(snapshot)
    backing = {t.view_oid: t for t in snapshot.tviews}
    done: set[int] = set()
    for relation in snapshot.relations:
        if relation.kind not in "vm" or not relation.definition:
            continue
        tview = backing.get(relation.oid)
        if tview is None and relation.schema == snapshot.extension.schema:
            continue  # the backing view of a registration that was lost
        reader = tview.table_oid if tview else relation.oid
        done.add(reader)
        yield of_text(names, reader, relation.definition, relation.schema)
    for tview in snapshot.tviews:
        if tview.table_oid not in done and tview.definition:
            yield of_text(names, tview.table_oid, tview.definition, tview.schema)


class Definitions:
    """The definitions of one snapshot, each read once, whichever check asks first."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.names = Names(snapshot)
        self.by_reader = {found.reader: found for found in lineages(snapshot)}
        self._own: dict[int, Lineage] = {}

    def own(self, tview: Tview) -> Lineage:
        """What the TVIEW's own text reads, as its author wrote it."""
        if tview.table_oid not in self._own:
            self._own[tview.table_oid] = of_text(
                self.names, tview.table_oid, tview.definition, tview.schema
            )
        return self._own[tview.table_oid]


def used(
    snapshot: Snapshot, by_reader: dict[int, Lineage], reader: int
) -> dict[int, set[str]] | None:
    """What can change a reader's rows: relations below helper views, and their columns.

    Left out is what no output depends on: a CTE never read, a sub-select whose column nothing takes.
    `*` among the columns stands for all. None where a definition on the way could not be read.
    """
    found: dict[int, set[str]] = {}
    pending: list[tuple[int, frozenset[str] | None]] = [(reader, None)]
    seen: dict[int, set[str]] = {}
    while pending:
        current, wanted = pending.pop()
        lineage = by_reader.get(current)
        if lineage is None or lineage.reads is None or lineage.unresolved:
            return None
        columns: set[Column] = set(lineage.reads.rows)
        for output in lineage.reads.outputs:
            if wanted is None or output.name is None or output.name in wanted:
                columns |= output.columns
        taken: dict[int, set[str]] = {}
        for name, column in columns:
            if name in lineage.relations:
                taken.setdefault(lineage.relations[name], set()).add(column)
        for oid, names in taken.items():
            relation = snapshot.by_oid.get(oid)
            if relation is None or relation.kind != "v":
                found.setdefault(oid, set()).update(names - {EXISTENCE})
            elif not names <= seen.get(oid, set()):
                seen.setdefault(oid, set()).update(names)
                pending.append((oid, None if WHOLE in names else frozenset(names)))
    return found
