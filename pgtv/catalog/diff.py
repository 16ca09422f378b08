"""What changed between two snapshots, by qualified name: OIDs, statistics and moments do not count.

Compared are the things that somebody decided: TVIEWs and what belongs to them, the tables and views
around them, triggers, indexes, grants, settings, roles and what the extension says of itself. A
section that one side could not see is not compared, and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pgtv.catalog.model import Gap, Relation, Snapshot, Trigger, Tview

Facts = dict[str, Any]
Objects = dict[str, Facts]


@dataclass(frozen=True)
class Change:
    """One difference.

    change: added, removed or changed. kind: what sort of thing; object: its name, qualified and
    quoted. field: which property changed, None for an object that came or went. before, after: its
    values, None on the side where it is not.
    """

    change: str
    kind: str
    object: str
    field: str | None = None
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class Difference:
    """All changes, and the sections that could not be compared: (side, gap)."""

    changes: tuple[Change, ...]
    not_compared: tuple[tuple[str, Gap], ...] = ()

    @property
    def same(self) -> bool:
        return not self.changes


def diff(before: Snapshot, after: Snapshot) -> Difference:
    """What somebody who left at `before` finds different at `after`."""
    changes: list[Change] = []
    skipped: dict[tuple[str, str, str], tuple[str, Gap]] = {}
    for kind, (sections, read) in KINDS.items():
        gaps = [
            (side, gap)
            for side, snapshot in (("before", before), ("after", after))
            for section in sections
            if (gap := snapshot.gap(section)) and gap.object is None
        ]
        for side, gap in gaps:
            skipped[side, gap.section, gap.reason] = (side, gap)
        if not gaps:
            changes += _compare(kind, read(before), read(after))
    ordered = sorted(
        changes, key=lambda c: (list(KINDS).index(c.kind), c.object, c.change, c.field or "")
    )
    return Difference(tuple(ordered), tuple(skipped.values()))


def _compare(kind: str, before: Objects, after: Objects) -> Iterable[Change]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield Change("removed", kind, name, None, before[name], None)
        elif name not in before:
            yield Change("added", kind, name, None, None, after[name])
        else:
            old, new = before[name], after[name]
            # a field that one side does not have was not seen there, which is no difference
            for field in (f for f in old if f in new):
                if old[field] != new[field]:
                    yield Change("changed", kind, name, field, old[field], new[field])


def _server(s: Snapshot) -> Objects:
    return {
        s.server.database: {
            "version": s.server.version,
            "encoding": s.server.encoding,
            "role": "standby" if s.server.in_recovery else "primary",
        }
    }


def _extension(s: Snapshot) -> Objects:
    e = s.extension
    if not e.installed:
        return {}
    facts: Facts = {
        "version": e.version,
        "schema": e.schema,
        "owner": e.owner,
        "catalog revision": e.catalog_revision,
        "contract": e.contract_version,
        "missing": list(e.tables_missing),
    }
    if e.library_version:
        facts["library"] = e.library_version
    if e.preloaded is not None:
        facts["preloaded"] = e.preloaded
    return {"extension": facts}


def _tviews(s: Snapshot) -> Objects:
    found: Objects = {}
    for t in s.tviews:
        table = s.by_oid.get(t.table_oid)
        facts: Facts = {
            "entity": t.entity,
            "definition": " ".join(t.definition.split()).rstrip("; "),
            "view": t.view_name,
            "identity": list(t.identity),
            "reads": _reads(s, t),
            "uncascaded policy": t.uncascaded_policy,
            "uncascaded": sorted(s.name_of(o) for o in t.uncascaded),
            "function reads": sorted(
                f"{f} reads {s.name_of(o) if o else '?'}" for f, o in t.function_reads
            ),
            "time dependent": t.time_dependent,
            "time refresh": t.time_refresh,
            "managed indexes": sorted(t.managed_indexes),
            "needs reregister": t.needs_reregister,
            "table exists": table is not None,
        }
        if s.gap("registry") is None:
            facts |= {f"option {k}": v for k, v in sorted(t.options.items())}
        found[t.label if table else t.entity] = facts
    return found


def _reads(s: Snapshot, t: Tview) -> list[str]:
    tables = t.plan.get("tables") if isinstance(t.plan, dict) else None
    return sorted(
        f"{s.name_of(e['relid'])} ({e.get('kind')})"
        for e in (tables if isinstance(tables, list) else ())
        if isinstance(e, dict) and isinstance(e.get("relid"), int)
    )


_RELKIND = {
    "r": "table", "p": "partitioned table", "v": "view", "m": "materialized view",
    "f": "foreign table",
}  # fmt: skip


def _relations(s: Snapshot) -> Objects:
    return {r.qualified: _relation(s, r) for r in s.relations}


def _relation(s: Snapshot, r: Relation) -> Facts:
    facts: Facts = {
        "kind": _RELKIND.get(r.kind, r.kind),
        "owner": r.owner,
        "columns": [f"{c.name} {c.type}" + (" NOT NULL" if c.not_null else "") for c in r.columns],
        "persistence": {"p": "logged", "u": "unlogged", "t": "temporary"}.get(r.persistence),
        "partition of": s.name_of(r.partition_of) if r.partition_of else None,
        "inherits": [s.name_of(o) for o in r.inherits],
        "row security": r.row_security,
        "forced row security": r.force_row_security,
        "policies": r.policies,
        "options": sorted(r.options),
        "replica identity": r.replica_identity,
    }
    if r.definition is not None:
        facts["definition"] = " ".join(r.definition.split())
    return facts


def _triggers(s: Snapshot) -> Objects:
    return {
        f"{s.name_of(t.relation)}: {t.name}": _trigger(t)
        for t in s.triggers
        if t.relation in s.by_oid
    }


def _trigger(t: Trigger) -> Facts:
    return {
        "function": t.function,
        "arguments": list(t.args),
        "type": t.type,
        "state": {"O": "enabled", "D": "disabled", "R": "replica", "A": "always"}.get(
            t.enabled, t.enabled
        ),
        "condition": t.when,
        "constraint": t.constraint,
        "transition tables": [n for n in (t.old_table, t.new_table) if n],
    }


def _indexes(s: Snapshot) -> Objects:
    return {
        f"{s.name_of(i.relation)}: {i.name}": {
            "columns": [c or "(expression)" for c in i.columns],
            "unique": i.unique,
            "primary key": i.primary,
            "valid": i.valid and i.ready,
            "partial": i.partial,
            "method": i.method,
            "nulls not distinct": i.nulls_not_distinct,
        }
        for i in s.indexes
        if i.relation in s.by_oid
    }


def _grants(s: Snapshot) -> Objects:
    return {
        f"{s.name_of(g.relation)}: {g.privilege} to {g.grantee}": {"grant option": g.grantable}
        for g in s.grants
        if g.relation in s.by_oid
    }


def _event_triggers(s: Snapshot) -> Objects:
    return {
        e.name: {"event": e.event, "state": e.enabled, "function": e.function}
        for e in s.extension.event_triggers
    }


def _functions(s: Snapshot) -> Objects:
    return {
        f.signature: {
            "owner": f.owner,
            "volatility": f.volatility,
            "security definer": f.security_definer,
            "source": f.source_hash,
        }
        for f in s.functions
        if f.extension is None
    }


def _role_settings(s: Snapshot) -> Objects:
    return {
        " ".join(
            part
            for part in (
                x.name,
                f"in database {x.database}" if x.database else "",
                f"for role {x.role}" if x.role else "",
                f"of function {x.function}" if x.function else "",
            )
            if part
        ): {"value": x.value}
        for x in s.role_settings
    }


def _settings(s: Snapshot) -> Objects:
    return {x.name: {"value": x.value} for x in s.settings}


def _roles(s: Snapshot) -> Objects:
    return {r.name: {"superuser": r.superuser, "bypasses RLS": r.bypass_rls} for r in s.roles}


def _subscriptions(s: Snapshot) -> Objects:
    return {
        x.name: {"enabled": x.enabled, "tables": sorted(s.name_of(o) for o in x.relations)}
        for x in s.subscriptions
    }


def _publications(s: Snapshot) -> Objects:
    return {
        x.name: {"all tables": x.all_tables, "tables": sorted(s.name_of(o) for o in x.relations)}
        for x in s.publications
    }


# kind -> sections without which it cannot be compared, and how to read it
KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[Snapshot], Objects]]] = {
    "server": (("server",), _server),
    "extension": (("extension",), _extension),
    "TVIEW": (("tviews",), _tviews),
    "relation": (("relations",), _relations),
    "trigger": (("triggers", "relations"), _triggers),
    "event trigger": (("event_triggers",), _event_triggers),
    "index": (("indexes", "relations"), _indexes),
    "grant": (("grants", "relations"), _grants),
    "function": (("functions",), _functions),
    "role": (("roles",), _roles),
    "setting": (("settings",), _settings),
    "fixed setting": (("role_settings",), _role_settings),
    "subscription": (("subscriptions",), _subscriptions),
    "publication": (("publications",), _publications),
}
