"""Which relations a TVIEW reads, and how a changed row of each leads to keys of the TVIEW.

The extension's plan tells: the key is a column of the changed row (`local`), a query from changed
rows to keys (`mapped`), or another TVIEW's document is looked up by columns of this one
(`propagated`). Of anything else it is only known that it may change every row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Snapshot, Tview
from pgtv.rows.plan_sql import relation_name, rendered
from pgtv.rows.subject import Subject

LOCAL, MAPPED, PROPAGATED, ANY = "local", "mapped", "propagated", "any"
_COLUMN = re.compile(r"\{c:(\d+):(\d+)\}")
_INTEGERS = frozenset({"smallint", "integer", "bigint"})


@dataclass(frozen=True)
class Term:
    """A column as a scan reads it: its SQL, and the type that it has there."""

    sql: str
    type: str


@dataclass(frozen=True)
class Reading:
    """One relation and what has to be known of its rows.

    linked: what leads from a row to keys; two rows equal in these lead to the same keys. value: what
    is brought of a new row to find its keys. serial: an integer that new rows have higher than old
    ones, mostly. root: each row is a row of the TVIEW, by a key that a unique index proves.
    """

    name: str
    label: str
    follows: str
    linked: tuple[Term, ...] = ()
    value: Term | None = None
    serial: Term | None = None
    root: bool = False
    partitioned: bool = False
    query: str | None = None  # mapped: from the changed rows, called as `delta` says, to keys
    delta: str = ""
    lookups: tuple[str, ...] = ()  # propagated: columns of the TVIEW


def own(subject: Subject) -> Reading:
    """The TVIEW's own table."""
    key = subject.keys[0]
    term = Term(f"x.{key.sql}", key.type)
    return Reading(
        subject.table, subject.label, LOCAL, (term,), term, term if key.integer else None
    )


def readings(snapshot: Snapshot, subject: Subject, read: Iterable[int]) -> dict[int, Reading]:
    """The relations `read` (tables, and whatever else holds rows) by OID.

    Those that the plan does not tell of, or tells in a way that is not known here, follow as ANY.
    """
    plan = subject.tview.plan
    tables = plan.get("tables") if isinstance(plan, dict) else None
    entries: dict[int, list[dict[str, Any]]] = {}
    for entry in tables if isinstance(tables, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("relid"), int):
            entries.setdefault(entry["relid"], []).append(entry)
    used = _used_by_queries(e for found in entries.values() for e in found)
    result = {}
    for oid in read:
        relation = snapshot.by_oid.get(oid)
        if relation is None:
            continue
        told = entries.get(oid, [])
        reading = None
        if len(told) == 1 and isinstance(plan, dict):
            reading = _reading(snapshot, subject, plan, told[0], relation, used.get(oid, ()))
        result[oid] = reading or Reading(
            relation_name(relation), relation.qualified, ANY, partitioned=relation.kind == "p"
        )
    return result


def _used_by_queries(entries: Iterable[dict[str, Any]]) -> dict[int, list[int]]:
    """Columns, by relation, through which any mapping query of the plan goes."""
    used: dict[int, set[int]] = {}
    for entry in entries:
        for oid, attnum in _COLUMN.findall(str(entry.get("sql") or "")):
            used.setdefault(int(oid), set()).add(int(attnum))
    return {oid: sorted(columns) for oid, columns in used.items()}


def _reading(
    snapshot: Snapshot,
    subject: Subject,
    plan: dict[str, Any],
    entry: dict[str, Any],
    relation: Relation,
    used: Iterable[int],
) -> Reading | None:
    kind = entry.get("kind")
    columns = {c.attnum: Term(f"x.{ident(c.name)}", c.type) for c in relation.columns}
    if any(n not in columns for n in used):
        return None
    linked = tuple(columns[n] for n in used)
    facts: dict[str, Any] = {
        "name": relation_name(relation),
        "label": relation.qualified,
        "serial": _serial(snapshot, relation),
        "partitioned": relation.kind == "p",
    }
    key = subject.keys[0]
    if kind == LOCAL and isinstance(entry.get("column"), str):
        # whichever way a path goes through such a row, it ends at the row's own key
        value = Term(f"CAST(x.{ident(entry['column'])} AS {key.type})", key.type)
        root = _is_root(snapshot, plan, relation, entry["column"])
        return Reading(follows=LOCAL, linked=(value,), value=value, root=root, **facts)
    if kind == MAPPED and isinstance(entry.get("sql"), str) and "$1" not in entry["sql"]:
        query = rendered(snapshot, entry["sql"])
        delta = dialects.named(snapshot.extension.generation).delta_relation
        if query is None or not linked:
            return None
        return Reading(
            follows=MAPPED, linked=linked, value=Term("x.ctid", "tid"), query=query, delta=delta,
            **facts,
        )  # fmt: skip
    if kind == PROPAGATED:
        other = snapshot.tview_by_table.get(relation.oid)
        lookups = _lookups(plan, entry.get("entity"))
        names = {c.name for c in subject.columns}
        if other is None or len(other.identity) != 1 or not lookups or not names >= set(lookups):
            return None
        theirs = next((c for c in relation.columns if c.name == other.identity[0]), None)
        if theirs is None:
            return None
        value = Term(f"x.{ident(theirs.name)}", theirs.type)
        return Reading(
            follows=PROPAGATED, linked=(value, *linked), value=value, lookups=lookups, **facts
        )
    return None


def _serial(snapshot: Snapshot, relation: Relation) -> Term | None:
    """An integer column that leads a unique index: a guess which rows are new, never a proof."""
    types = {c.name: c.type for c in relation.columns}
    leading = [
        i.columns[0]
        for i in sorted(snapshot.indexes_on.get(relation.oid, ()), key=lambda i: not i.primary)
        if i.unique and i.valid and i.columns and types.get(i.columns[0]) in _INTEGERS
    ]
    return Term(f"x.{ident(leading[0])}", types[leading[0]]) if leading else None


def _is_root(snapshot: Snapshot, plan: dict[str, Any], relation: Relation, column: str) -> bool:
    """Whether the TVIEW's keys are this column's values, each of one row."""
    paths = plan.get("paths")
    named = any(
        isinstance(p, dict) and p.get("root") is True and p.get("source_oid") == relation.oid
        and p.get("initial_col") == column
        for p in (paths if isinstance(paths, list) else ())
    )  # fmt: skip
    not_null = any(c.name == column and c.not_null for c in relation.columns)
    unique = any(
        i.unique and i.valid and i.immediate and not i.partial and i.columns == (column,)
        for i in snapshot.indexes_on.get(relation.oid, ())
    )
    return named and not plan.get("set_operation") and not_null and unique


def lookups(reader: Tview, other: Tview) -> tuple[str, ...]:
    """The columns of `reader` by which documents of another TVIEW are looked up: they hold its key."""
    return _lookups(reader.plan, other.entity) if isinstance(reader.plan, dict) else ()


def kind_of_read(reader: Tview, other: Tview) -> str | None:
    """As what the plan of `reader` tells that the other's table is read; None where it does not, or in
    several ways."""
    tables = reader.plan.get("tables") if isinstance(reader.plan, dict) else None
    kinds = [
        str(t.get("kind"))
        for t in (tables if isinstance(tables, list) else ())
        if isinstance(t, dict) and t.get("relid") == other.table_oid
    ]
    return kinds[0] if len(kinds) == 1 else None


def _lookups(plan: dict[str, Any], entity: object) -> tuple[str, ...]:
    """The TVIEW's columns by which documents of another one are looked up."""
    embeds = plan.get("embeds")
    found: dict[str, None] = {}
    for embed in embeds if isinstance(embeds, list) else ():
        if isinstance(embed, dict) and embed.get("entity") == entity:
            found |= dict.fromkeys(str(c) for c in embed.get("lookups") or ())
    return tuple(found)
