"""Relations under the names that they have by now, and who reads them: questions to the working copy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from pgtv.catalog.dialects import named
from pgtv.catalog.dialects.base import Dialect
from pgtv.catalog.model import Relation, Snapshot, Trigger, Tview
from pgtv.definitions.reads import Relation as Name
from pgtv.graph.edges import Edges, edges
from pgtv.graph.impact import Reached, impact
from pgtv.graph.lineage import Lineage, lineages
from pgtv.lifecycle.restore.dump_contents import shown

NEW = -1  # the OID of what the files make


@dataclass
class Held:
    """path: schemas that an unqualified name is looked for in. names: of relations now, to OIDs.

    columns: names of columns as they are now to those of the snapshot, by relation; added and dropped:
    what the files add and drop of them.
    """

    snapshot: Snapshot
    path: tuple[str, ...] = ("public",)
    names: dict[tuple[str, str], int] = field(default_factory=dict)
    columns: dict[int, dict[str, str]] = field(default_factory=dict)
    added: dict[int, set[str]] = field(default_factory=dict)
    dropped: dict[int, set[str]] = field(default_factory=dict)

    def derive(self) -> None:
        """After a change of the snapshot or of names."""
        self.graph: Edges = edges(self.snapshot)
        self.labels = {oid: name for name, oid in self.names.items() if oid != NEW}

    @property
    def dialect(self) -> Dialect:
        return named(self.snapshot.extension.generation)

    @property
    def major(self) -> int:
        return self.snapshot.server.version_num // 10000

    # Names.

    def find(self, schema: str | None, name: str) -> int | None:
        """The OID of a relation of TVIEWs, NEW for what the files made, None for any other."""
        for place in (schema,) if schema is not None else self.path:
            oid = self.names.get((place, name))
            if oid is not None:
                return oid
        return None

    def find_tview(self, schema: str | None, table: str) -> int | None:
        """As the extension finds a TVIEW: by name, else as the only one of that entity."""
        oid = self.find(schema, table)
        if oid is None and schema is None:
            oid = next(
                (t.table_oid for t in self.snapshot.tviews if f"tv_{t.entity}" == table), None
            )
        return oid

    def relation(self, oid: int) -> Relation:
        return self.snapshot.by_oid[oid]

    def label(self, oid: int) -> str:
        """The qualified name as it is now, quoted as SQL needs it."""
        relation = self.relation(oid)
        schema, name = self.labels.get(oid, (relation.schema, relation.name))
        if (schema, name) == (relation.schema, relation.name):
            return relation.qualified
        return shown((schema, name))

    def column(self, oid: int, name: str) -> str | None:
        """The snapshot's name of a column; None for one that the files added."""
        if name in self.added.get(oid, ()):
            return None
        return self.columns.get(oid, {}).get(name, name)

    # What is there, and who reads it.

    def tview(self, oid: int) -> Tview | None:
        return self.graph.tviews.get(oid)

    def backing(self, oid: int) -> Tview | None:
        """The TVIEW whose backing view this is."""
        return next((t for t in self.snapshot.tviews if t.view_oid == oid), None)

    def ours(self, oid: int) -> bool:
        """Whether the relation is one of the extension's own tables."""
        relation = self.relation(oid)
        return relation.schema == self.snapshot.extension.schema and relation.kind != "v"

    def parts(self, oid: int) -> list[int]:
        """Partitions at any depth."""
        below = [r.oid for r in self.snapshot.relations if r.partition_of == oid]
        return [*below, *(d for b in below for d in self.parts(b))]

    def roots(self, oid: int) -> list[int]:
        """The relation and what it is a partition of: who reads those reads it."""
        found = [oid]
        while (parent := self.relation(found[-1]).partition_of) is not None:
            found.append(parent)
        return [o for o in found if o in self.snapshot.by_oid]

    def nearest(self, oid: int) -> list[Tview]:
        """TVIEWs that read a relation themselves or through views, not through another TVIEW."""
        found: dict[int, Tview] = {}
        pending, seen = self.roots(oid), set[int]()
        while pending:
            current = pending.pop()
            if current in seen:
                continue
            seen.add(current)
            for reader in self.graph.readers.get(current, ()):
                tview = self.graph.tviews.get(reader)
                if tview is not None:
                    found[reader] = tview
                elif self.relation(reader).kind in "vm":
                    pending.append(reader)
        return sorted(found.values(), key=lambda t: t.label)

    def affected(self, oid: int) -> list[Tview]:
        return [t for t in self.graph.affected(self.roots(oid)) if t.table_oid != oid]

    def users(self, oid: int, column: str | None = None) -> list[int]:
        """Views and materialized views that pg_depend says read a relation (a column of it)."""
        among = set(self.roots(oid))
        return [
            read.reader
            for read in self.snapshot.reads
            if read.relation in among and (column is None or column in read.columns)
        ]

    def reached(self, oid: int, column: str | None = None) -> list[Reached]:
        relation = self.relation(oid)
        known = column is None or column in {c.name for c in relation.columns}
        asked = column if known else None
        return impact(
            self.snapshot, relation, asked, graph=self.graph, read=self.read if asked else None
        )

    @cached_property
    def read(self) -> dict[int, Lineage]:
        """Definitions as they were at the beginning, by reader: drops and renames take nothing from it."""
        return {found.reader: found for found in lineages(self.snapshot)}

    def lineage(self, reader: int) -> Lineage | None:
        return self.read.get(reader)

    def triggers(self, oid: int, entity: str | None = None) -> list[Trigger]:
        """The extension's triggers on a relation."""
        found = [t for t in self.snapshot.triggers_on.get(oid, []) if t.kind]
        return [t for t in found if entity is None or t.entity == entity]

    def tables_of(self, oid: int) -> list[int]:
        """Tables and TVIEWs that a TVIEW reads itself, helper views followed."""
        found: dict[int, None] = {}
        pending = sorted(self.graph.reads.get(oid, ()))
        while pending:
            read = pending.pop(0)
            if read in found or read not in self.snapshot.by_oid:
                continue
            if self.relation(read).kind in "vm":
                pending += sorted(self.graph.reads.get(read, ()))
            elif self.relation(read).partition_of is None or self.tview(oid) is None:
                found[read] = None
        return list(found)

    def known_columns(self, name: Name) -> list[str] | None:
        """Columns of a relation as they are now; None where they are not known."""
        oid = self.find(*name)
        if oid is None or oid < 0:
            return None
        renamed = {old: new for new, old in self.columns.get(oid, {}).items()}
        gone = self.dropped.get(oid, set())
        kept = [c.name for c in self.relation(oid).columns if c.name not in gone]
        names = [renamed.get(name, name) for name in kept]
        return [*names, *self.added.get(oid, ())] if names else None

    def has_column(self, oid: int, name: str) -> bool | None:
        """Whether a table has a column now; None where its columns are not known."""
        relation = self.relation(oid)
        if not relation.columns or relation.partition_of is not None:
            return None
        return name in (self.known_columns((self.labels[oid][0], self.labels[oid][1])) or ())

    def carrying(self, entities: Iterable[str]) -> list[int]:
        """Relations that carry triggers for these TVIEWs."""
        wanted = set(entities)
        found = {t.relation for t in self.snapshot.triggers if t.kind and t.entity in wanted}
        return sorted(o for o in found if o in self.snapshot.by_oid)

    def foreign_keys(self, oid: int) -> list[tuple[str, str, list[int]]]:
        """Foreign keys that a table has or is referred to by: name, declaring table, its other end."""
        found = []
        for constraint in self.relation(oid).constraints:
            if constraint.kind == "f":
                ends = [
                    r.oid for r in self.snapshot.relations
                    if r.oid != oid and (constraint in r.constraints or r.qualified == constraint.table)
                ]  # fmt: skip
                found.append((constraint.name, constraint.table, ends))
        for other in self.snapshot.relations:
            own = self.relation(oid)
            for constraint in other.constraints:
                if constraint.kind == "f" and constraint.table == own.qualified and own.kind == "p":
                    found.append((constraint.name, constraint.table, [other.oid]))
        return found
