"""The working copy that a migration is played on: names, columns, triggers and settings as they go.

Starts as the snapshot. A statement that would succeed changes it, so that the next one meets what the
server would meet: a renamed table, a TVIEW that is gone, triggers that are off. What the files make
themselves is known by name only.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pgtv.catalog.dialects import named
from pgtv.catalog.dialects.base import Dialect
from pgtv.catalog.model import Relation, Snapshot, Trigger, Tview
from pgtv.definitions.reads import Relation as Name
from pgtv.graph.edges import Edges, edges
from pgtv.graph.impact import Reached, impact
from pgtv.graph.lineage import Lineage, lineages
from pgtv.lifecycle.dump_contents import shown

NEW = -1  # the OID of what the files make


@dataclass
class Copy:
    """path: schemas that an unqualified name is looked for in.

    columns: names of columns as they are now to those of the snapshot, by relation. added: columns that
    the files add. made: TVIEWs that the files make or redefine, with the names of what they then read.
    off: entities whose triggers are disabled, by relation. disabled: OIDs of the triggers. secured,
    forced: relations whose row security the files enable or force. timeout: lock_timeout is set.
    persistence: of tables that the files make LOGGED or UNLOGGED. schemas: those that they create, with
    the roles that may use them. queue: what they set the extension's queue to.
    """

    snapshot: Snapshot
    path: tuple[str, ...] = ("public",)
    names: dict[tuple[str, str], int] = field(default_factory=dict)
    columns: dict[int, dict[str, str]] = field(default_factory=dict)
    added: dict[int, set[str]] = field(default_factory=dict)
    made: dict[str, tuple[frozenset[Name], str]] = field(default_factory=dict)
    made_functions: set[str] = field(default_factory=set)
    off: dict[int, set[str]] = field(default_factory=dict)
    disabled: set[int] = field(default_factory=set)
    secured: set[int] = field(default_factory=set)
    forced: set[int] = field(default_factory=set)
    persistence: dict[int, str] = field(default_factory=dict)
    schemas: dict[str, set[str]] = field(default_factory=dict)
    queue: int | None = None
    transaction: bool = False
    timeout: bool = False
    local_timeout: bool = False
    replica: bool = False
    local_replica: bool = False

    def __post_init__(self) -> None:
        self.usual_path = self.path
        self._saved: list[tuple[str, dict[str, Any]]] = []
        self.names = {(r.schema, r.name): r.oid for r in self.snapshot.relations}
        for trigger in self.snapshot.triggers:
            if trigger.kind and trigger.entity and trigger.enabled in "DR":
                self.off.setdefault(trigger.relation, set()).add(trigger.entity)
        self._derive()

    def _derive(self) -> None:
        self.graph: Edges = edges(self.snapshot)
        self.labels = {oid: name for name, oid in self.names.items() if oid != NEW}
        self._lineage: dict[int, Lineage] | None = None

    @property
    def dialect(self) -> Dialect:
        return named(self.snapshot.extension.generation)

    @property
    def major(self) -> int:
        return self.snapshot.server.version_num // 10000

    @property
    def replicating(self) -> bool:
        """session_replication_role is replica: no trigger fires."""
        return self.replica or self.local_replica

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

    def rename(self, oid: int, schema: str, name: str) -> None:
        old = self.labels.get(oid)
        if old is not None:
            self.names.pop(old, None)
        self.names[schema, name] = oid
        self.labels[oid] = (schema, name)

    def make(self, schema: str | None, name: str) -> None:
        self.names.setdefault((schema or self.path[0], name), NEW)

    def forget(self, schema: str | None, name: str) -> None:
        for place in (schema,) if schema is not None else self.path:
            if self.names.get((place, name)) == NEW:
                del self.names[place, name]
                return

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
        return impact(self.snapshot, relation, column if known else None)

    def lineage(self, reader: int) -> Lineage | None:
        if self._lineage is None:
            self._lineage = {found.reader: found for found in lineages(self.snapshot)}
        return self._lineage.get(reader)

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
        names = [renamed.get(c.name, c.name) for c in self.relation(oid).columns]
        return [*names, *self.added.get(oid, ())] if names else None

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

    # Changes.

    def drop(self, oids: Iterable[int]) -> None:
        """Relations are gone, TVIEWs with their registrations and triggers."""
        gone = set(oids)
        tviews = [t for t in self.snapshot.tviews if t.table_oid in gone]
        gone |= {t.view_oid for t in tviews}
        entities = {t.entity for t in tviews}
        for name in [n for n, o in self.names.items() if o in gone]:
            del self.names[name]
        s = self.snapshot
        self.snapshot = replace(
            s,
            tviews=tuple(t for t in s.tviews if t.table_oid not in gone),
            relations=tuple(r for r in s.relations if r.oid not in gone),
            reads=tuple(r for r in s.reads if r.reader not in gone and r.relation not in gone),
            triggers=tuple(
                t for t in s.triggers
                if t.relation not in gone and not (t.kind and t.entity in entities)
            ),
        )  # fmt: skip
        self._derive()

    # Transactions.

    def begin(self) -> None:
        if not self.transaction:
            self._saved = []
            self.savepoint("")
        self.transaction = True

    def commit(self) -> None:
        self.transaction = self.local_timeout = self.local_replica = False
        self._saved = []

    def rollback(self) -> None:
        if self._saved:
            self._restore(self._saved[0][1])
        self.commit()

    def savepoint(self, name: str) -> None:
        state = {
            f.name: deepcopy(v) if isinstance(v := getattr(self, f.name), dict | set) else v
            for f in fields(self)
        }
        self._saved.append((name, state))

    def rollback_to(self, name: str) -> None:
        for index in range(len(self._saved) - 1, -1, -1):
            if self._saved[index][0] == name:
                self._restore(self._saved[index][1])
                del self._saved[index + 1 :]
                return

    def _restore(self, state: dict[str, Any]) -> None:
        kept = self.transaction
        for name, value in state.items():
            setattr(self, name, deepcopy(value) if isinstance(value, dict | set) else value)
        self.transaction = kept
        self._derive()
