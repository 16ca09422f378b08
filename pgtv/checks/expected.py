"""Which triggers must exist, derived from the plans; shared by the checks on triggers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgtv.catalog.dialects.base import TriggerShape
from pgtv.catalog.model import Relation, Trigger, Tview
from pgtv.checks.declare import Context, once
from pgtv.finding import Effect


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
        kinds = read_kinds(tview) if dialect.has_plan else _reached(context, tview)
        for relid, cascade in kinds.items():
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
                        # besides its own, PostgreSQL's copy of the root's row trigger
                        row = tuple(s for s in shapes if s.kind == "row")
                        own = (*row, *dialect.partition_triggers())
                        yield Expected(tview, partition, own, partition=True)


def if_reached(context: Context, tview: Tview) -> Effect:
    """What it means that writing `tview` fails: as long as no trigger tells it of writes, none does.

    Not its own, and not those of any TVIEW that it reads, however far up.
    """
    snapshot = context.snapshot
    if snapshot.gap("triggers"):
        return Effect.WRITES_FAIL
    told = {t.entity for t in snapshot.triggers if t.enabled in "OA"}
    ahead, seen = [tview], {tview.entity}
    for one in ahead:
        if one.entity in told:
            return Effect.WRITES_FAIL
        read = (snapshot.tview_by_table.get(oid) for oid in read_kinds(one))
        new = {t.entity: t for t in read if t and t.entity not in seen}
        seen |= set(new)
        ahead.extend(new.values())
    return Effect.RISK


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


def expected_on(context: Context) -> dict[tuple[int, str], Expected]:
    """The same by relation and entity."""
    found: dict[tuple[int, str], Expected] = once(
        context,
        "expected_on",
        lambda: {(e.relation.oid, e.tview.entity): e for e in expected_triggers(context)},
    )
    return found


def missing_triggers(context: Context) -> Iterator[Expected]:
    """What is expected and not there, as Expected with the missing shapes only.

    A trigger of the right function and argument that fires at other times is not missing but
    misshapen.
    """
    on = context.snapshot.triggers_for
    for expected in expected_triggers(context):
        present = on.get((expected.relation.oid, expected.tview.entity), [])
        if expected.partition and not _root_has_row(context, expected):
            # the root's fault, which its cure cures here too
            own = tuple(s for s in expected.shapes if s.kind != "row")
            expected = Expected(expected.tview, expected.relation, own, True)
        bent = {shape for _, shape in misshapen(context, expected)}
        missing = tuple(
            s
            for s in expected.shapes
            if s not in bent and not any(matches(t, s, expected.tview.entity) for t in present)
        )
        if missing:
            yield Expected(expected.tview, expected.relation, missing, expected.partition)


def _root_has_row(context: Context, expected: Expected) -> bool:
    root = (expected.relation.partition_root or 0, expected.tview.entity)
    on_root = context.snapshot.triggers_for.get(root, [])
    row = [s for s in expected.shapes if s.kind == "row"]
    return any(matches(t, s, expected.tview.entity) for t in on_root for s in row)


_EVENTS = 4 | 8 | 16 | 32


def misshapen(context: Context, expected: Expected) -> Iterator[tuple[Trigger, TriggerShape]]:
    """Triggers that stand where `expected` wants one of another tgtype or argument, and which."""
    entity = expected.tview.entity
    place = (expected.relation.oid, entity)
    present = context.snapshot.triggers_for.get(place, [])
    for trigger in (*present, *_misdirected(context).get(place, ())):
        if any(matches(trigger, s, entity) for s in expected.shapes):
            continue
        for shape in expected.shapes:
            if (
                trigger.kind == shape.kind
                and trigger.type & shape.type & _EVENTS
                and not any(matches(t, shape, entity) for t in present)
            ):
                yield trigger, shape
                break


def _misdirected(context: Context) -> dict[tuple[int, str], list[Trigger]]:
    """The misdirected ones by relation and the entity whose name they bear."""

    def compute() -> dict[tuple[int, str], list[Trigger]]:
        found: dict[tuple[int, str], list[Trigger]] = {}
        for trigger in context.snapshot.triggers:
            entity = misdirected(context, trigger) if trigger.kind else None
            if entity is not None:
                found.setdefault((trigger.relation, entity), []).append(trigger)
        return found

    cached: dict[tuple[int, str], list[Trigger]] = once(context, "misdirected", compute)
    return cached


def misdirected(context: Context, trigger: Trigger) -> str | None:
    """The entity in whose name a trigger stands though its argument is none that its table serves.

    It takes the name away from the trigger that is missing, so the two are one fault.
    """
    wanted = expected_on(context)
    if (
        not trigger.kind
        or trigger.parent is not None
        or not trigger.name.startswith(context.dialect.trigger_prefix)
        or (trigger.relation, trigger.entity or "") in wanted
    ):
        return None
    for relation, entity in wanted:
        if relation == trigger.relation and f"_{entity}_on_" in trigger.name:
            return entity
    return None


def _reached(context: Context, tview: Tview) -> dict[int, str]:
    """Without a plan: the tables that the backing view reads, through views, as `local`."""
    reads, found, below = context.snapshot.reads_of, {}, [tview.view_oid]
    seen = set(below)
    while below:
        for read in reads.get(below.pop(), ()):
            relation = context.snapshot.by_oid.get(read.relation or 0)
            if relation is None or relation.oid in seen:
                continue
            seen.add(relation.oid)
            if relation.kind == "v":
                below.append(relation.oid)
            elif relation.kind in "rp" and relation.oid not in context.snapshot.tview_by_table:
                found[relation.oid] = "local"
    return found
