"""The working copy that a migration is played on: names, columns, triggers and settings as they go.

Starts as the snapshot. A statement that would succeed changes it, so that the next one meets what the
server would meet: a renamed table, a TVIEW that is gone, triggers that are off. What the files make
themselves is known by name only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pgtv.definitions.reads import Relation as Name
from pgtv.migration.held import NEW, Held


@dataclass
class Copy(Held):
    """made: TVIEWs that the files make or redefine, with the names of what they then read.

    off: entities whose triggers are disabled, by relation; disabled: OIDs of the triggers. secured,
    forced: relations whose row security the files enable or force. persistence: of tables that they make
    LOGGED or UNLOGGED. schemas: those that they create, with the roles that may use them. queue: what they
    set the extension's queue to. timeout: lock_timeout is set.
    """

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
        self.derive()

    @property
    def replicating(self) -> bool:
        """session_replication_role is replica: no trigger fires."""
        return self.replica or self.local_replica

    # Changes.

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
        self.derive()

    def put_under(self, oid: int, parent: int | None) -> None:
        """A partition is attached, or detached (None)."""
        relations = (
            replace(r, partition_of=parent) if r.oid == oid else r for r in self.snapshot.relations
        )
        self.snapshot = replace(self.snapshot, relations=tuple(relations))
        self.derive()

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
        state = {f.name: _apart(getattr(self, f.name)) for f in fields(self)}
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
            setattr(self, name, _apart(value))
        self.transaction = kept
        self.derive()


def _apart(value: Any) -> Any:
    """A copy of a set, or of a dictionary and the sets and dictionaries in it; anything else itself."""
    if isinstance(value, set):
        return set(value)
    if isinstance(value, dict):
        return {k: _apart(v) if isinstance(v, dict | set) else v for k, v in value.items()}
    return value
