"""The Snapshot: what was true of TVIEWs in one database at one moment, as frozen dataclasses.

Everything that looks (checks, graph, status, diff) is a pure function of these classes, so a verdict
can be replayed from a file. Facts only: nothing here judges. Relations are linked by OID within one
snapshot and by qualified name between snapshots. `None` means "not known" (and then `gaps` tells
why), never "no".

Adding a field: give it a default, so that older files stay readable, and raise no version; changing
what a field means raises `SCHEMA`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pgtv.catalog.facts.activity import (
    Archiver,
    Lock,
    Prepared,
    Publication,
    Replica,
    Session,
    Slot,
    Standby,
    Subscription,
)
from pgtv.catalog.facts.installation import (
    Counters,
    EventTrigger,
    Extension,
    Growth,
    Privilege,
    Tview,
)
from pgtv.catalog.facts.privileges import Access, DefaultGrant, Grant
from pgtv.catalog.facts.relations import (
    Column,
    Constraint,
    Function,
    Index,
    Read,
    Relation,
    TableStats,
    Trigger,
)
from pgtv.catalog.facts.server import Role, RoleSetting, Server, Setting
from pgtv.catalog.facts.state import Lease, LeasedTrigger, Verification

SCHEMA = "pgtv.snapshot/1"


@dataclass(frozen=True)
class Gap:
    """A section that could not be collected, in whole or for one object."""

    section: str
    reason: str
    needs: tuple[str, ...] = ()  # the privileges or conditions that are missing
    object: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """One database, one moment. See the module's docstring."""

    taken_at: str
    pgtv_version: str
    server: Server
    extension: Extension
    tviews: tuple[Tview, ...] = ()
    relations: tuple[Relation, ...] = ()
    reads: tuple[Read, ...] = ()
    functions: tuple[Function, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    indexes: tuple[Index, ...] = ()
    table_stats: tuple[TableStats, ...] = ()
    settings: tuple[Setting, ...] = ()
    role_settings: tuple[RoleSetting, ...] = ()
    grants: tuple[Grant, ...] = ()
    default_grants: tuple[DefaultGrant, ...] = ()
    access: tuple[Access, ...] = ()
    roles: tuple[Role, ...] = ()
    locks: tuple[Lock, ...] = ()
    sessions: tuple[Session, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    slots: tuple[Slot, ...] = ()
    replicas: tuple[Replica, ...] = ()
    standby: Standby | None = None
    subscriptions: tuple[Subscription, ...] = ()
    publications: tuple[Publication, ...] = ()
    archiver: Archiver | None = None
    counters: tuple[Counters, ...] = ()
    verifications: tuple[Verification, ...] = ()
    leases: tuple[Lease, ...] = ()
    growth: Growth | None = None
    gaps: tuple[Gap, ...] = ()
    elapsed_ms: float = 0.0
    schema: str = SCHEMA

    # Look-ups that every check needs; computed once, they are no part of the file.

    @cached_property
    def by_oid(self) -> dict[int, Relation]:
        return {r.oid: r for r in self.relations}

    @cached_property
    def by_name(self) -> dict[tuple[str, str], Relation]:
        """By schema and name, both unquoted."""
        return {(r.schema, r.name): r for r in self.relations}

    @cached_property
    def tview_by_table(self) -> dict[int, Tview]:
        return {t.table_oid: t for t in self.tviews}

    @cached_property
    def table_of_view(self) -> dict[int, int]:
        """By the OID of a TVIEW's backing view that of its table: in the graph they are one."""
        return {t.view_oid: t.table_oid for t in self.tviews}

    @cached_property
    def tview_by_entity(self) -> dict[str, Tview]:
        return {t.entity: t for t in self.tviews}

    @cached_property
    def triggers_on(self) -> dict[int, list[Trigger]]:
        found: dict[int, list[Trigger]] = {}
        for trigger in self.triggers:
            found.setdefault(trigger.relation, []).append(trigger)
        return found

    @cached_property
    def triggers_for(self) -> dict[tuple[int, str | None], list[Trigger]]:
        """The extension's triggers by relation and entity (None: no single argument)."""
        found: dict[tuple[int, str | None], list[Trigger]] = {}
        for trigger in self.triggers:
            if trigger.kind:
                found.setdefault((trigger.relation, trigger.entity), []).append(trigger)
        return found

    @cached_property
    def indexes_on(self) -> dict[int, list[Index]]:
        found: dict[int, list[Index]] = {}
        for index in self.indexes:
            found.setdefault(index.relation, []).append(index)
        return found

    @cached_property
    def stats_of(self) -> dict[int, TableStats]:
        return {s.relation: s for s in self.table_stats}

    @cached_property
    def setting(self) -> dict[str, str | None]:
        return {s.name: s.value for s in self.settings}

    @cached_property
    def reads_of(self) -> dict[int, list[Read]]:
        found: dict[int, list[Read]] = {}
        for read in self.reads:
            found.setdefault(read.reader, []).append(read)
        return found

    def gap(self, section: str, object: str | None = None) -> Gap | None:
        """Why `section` (of `object`) is missing, or None when it was collected."""
        for gap in self.gaps:
            if gap.section == section and gap.object in (None, object):
                return gap
        return None

    def name_of(self, oid: int) -> str:
        """The qualified name of a relation, or its OID where the snapshot does not hold it."""
        relation = self.by_oid.get(oid)
        return relation.qualified if relation else f"(relation {oid})"


__all__ = [
    "SCHEMA",
    "Access",
    "Archiver",
    "Column",
    "Constraint",
    "Counters",
    "DefaultGrant",
    "EventTrigger",
    "Extension",
    "Function",
    "Gap",
    "Grant",
    "Growth",
    "Index",
    "Lease",
    "LeasedTrigger",
    "Lock",
    "Prepared",
    "Privilege",
    "Publication",
    "Read",
    "Relation",
    "Replica",
    "Role",
    "RoleSetting",
    "Server",
    "Session",
    "Setting",
    "Slot",
    "Snapshot",
    "Standby",
    "Subscription",
    "TableStats",
    "Trigger",
    "Tview",
    "Verification",
]
