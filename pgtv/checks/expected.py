"""Which triggers must exist, derived from the plans; shared by the checks on triggers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgtv.catalog.dialects.base import TriggerShape
from pgtv.catalog.model import Relation, Trigger, Tview
from pgtv.checks.declare import Context, once


@dataclass(frozen=True)
class Expected:
    """The triggers that `relation` must carry for `tview`."""

    tview: Tview
    relation: Relation
    shapes: tuple[TriggerShape, ...]
    partition: bool = False


def expected_triggers(context: Context) -> list[Expected]:
    """For every TVIEW with a readable plan and every relation it reads, partitions included."""
    found: list[Expected] = once(context, "expected_triggers", lambda: list(_expected(context)))
    return found


def _expected(context: Context) -> Iterator[Expected]:
    snapshot, dialect = context.snapshot, context.dialect
    children: dict[int, list[Relation]] = {}
    for relation in snapshot.relations:
        if relation.partition_of is not None:
            children.setdefault(relation.partition_of, []).append(relation)
    for tview in snapshot.tviews:
        for relid, cascade in read_kinds(tview).items():
            read = snapshot.by_oid.get(relid)
            if read is None:
                continue
            on_tview = relid in snapshot.tview_by_table
            shapes = dialect.expected_triggers(cascade, read.kind, on_tview=on_tview)
            if not shapes or read.kind not in "rp":
                continue
            yield Expected(tview, read, shapes)
            if read.kind == "p" and any(s.kind == "row" for s in shapes):
                below = list(children.get(relid, ()))
                while below:
                    partition = below.pop()
                    below.extend(children.get(partition.oid, ()))
                    if partition.kind in "rp":
                        own = dialect.partition_triggers()
                        yield Expected(tview, partition, own, partition=True)


def read_kinds(tview: Tview) -> dict[int, str]:
    """How the plan says that each relation is read: local, mapped, all_keys, propagated…"""
    tables = tview.plan.get("tables") if isinstance(tview.plan, dict) else None
    return {
        t["relid"]: str(t.get("kind"))
        for t in (tables if isinstance(tables, list) else ())
        if isinstance(t, dict) and isinstance(t.get("relid"), int)
    }


def matches(trigger: Trigger, shape: TriggerShape, entity: str) -> bool:
    return trigger.kind == shape.kind and trigger.type == shape.type and trigger.entity == entity


def missing_triggers(context: Context) -> Iterator[Expected]:
    """What is expected and not there, as Expected with the missing shapes only."""
    on = context.snapshot.triggers_on
    for expected in expected_triggers(context):
        present = on.get(expected.relation.oid, [])
        missing = tuple(
            s
            for s in expected.shapes
            if not any(matches(t, s, expected.tview.entity) for t in present)
        )
        if missing:
            yield Expected(expected.tview, expected.relation, missing, expected.partition)
