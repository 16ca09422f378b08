"""What faults of the extension's triggers do, and one finding for all of one kind on one table.

A fault is one trigger that is not as it has to be. Faults of a table and its partitions become one
finding with a row of evidence each, and so do those of more than three tables: whoever disabled every
trigger of a database reads one screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgtv.catalog.dialects.base import FLUSH, ident
from pgtv.catalog.model import Relation, Snapshot, Trigger, Tview
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Context
from pgtv.checks.roles import who_owns
from pgtv.finding import Effect, Finding, Remedy, Severity

FIRES = {
    "O": "fires in ordinary sessions (O)",
    "D": "never fires: disabled (D)",
    "R": "fires only under session_replication_role = replica (R)",
    "A": "fires also under session_replication_role = replica (A)",
}
_STATE = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
_ROW, _BEFORE, _TRUNCATE = 1, 2, 32
_EVENT = ((4, "INSERT"), (16, "UPDATE"), (8, "DELETE"), (32, "TRUNCATE"))
_TOGETHER = 3  # tables; more with the same fault are one finding
SHARE_ROW_EXCLUSIVE, ACCESS_EXCLUSIVE = "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"


@dataclass(frozen=True)
class Fault:
    """One trigger that is missing or wrong.

    expected, found: in words, for the evidence. cure: enable, recreate (drop, then re-register),
    reregister or drop. rows: whether rows may have been missed, so that a refresh belongs to the cure.
    """

    relation: Relation
    kind: str
    entity: str | None
    expected: str
    found: str
    effect: Effect
    cure: str
    trigger: Trigger | None = None
    tview: Tview | None = None

    @property
    def rows(self) -> bool:
        return self.effect is Effect.ROWS_WRONG


def fires(trigger: Trigger) -> bool:
    """Whether it fires in an ordinary session."""
    return trigger.enabled in "OA"


def timing(type_: int) -> str:
    """pg_trigger.tgtype in words: `AFTER INSERT OR UPDATE FOR EACH ROW`."""
    events = " OR ".join(word for bit, word in _EVENT if type_ & bit)
    each = "ROW" if type_ & _ROW else "STATEMENT"
    return f"{'BEFORE' if type_ & _BEFORE else 'AFTER'} {events} FOR EACH {each}"


def unflushed(context: Context, relation: Relation) -> str | None:
    """Which writes to `relation` leave their refreshes queued and so fail with 55000, if any.

    Two things flush: a flush trigger of any TVIEW, for what fired before it (triggers of a
    statement fire in the order of their names), and the library's executor hook, after statements
    on tables with an enabled flush trigger that still has the extension's name. COPY passes the
    hook by.
    """
    triggers = context.snapshot.triggers_on.get(relation.oid, [])
    active = [t for t in triggers if t.kind and fires(t)]
    queueing = [t for t in active if t.kind in ("row", "delta")]
    if not queueing or relation.oid in context.snapshot.tview_by_table:
        return None  # nothing is queued, or the flush of the statement above drains it
    names = [
        t.name.encode() for t in active if t.kind == "flush" and t.type == FLUSH.type and not t.when
    ]
    deltas = [t.name.encode() for t in queueing if t.kind == "delta"]
    if any(t.initially_deferred for t in queueing):
        return "every write"
    hooked = any(
        t.kind == "flush" and t.name.startswith(context.dialect.flush_prefix) for t in active
    )
    if names and (not deltas or max(deltas) < max(names)):
        return None
    return "COPY" if hooked else "every write"


def event_effect(kind: str, relation: Relation) -> Effect:
    """What it does when a trigger of this kind does not fire; for flush see unflushed().

    TRUNCATE of a partition is noticed without its trigger, too, wherever the library is loaded.
    """
    noticed = kind == "flush" or (kind == "truncate" and relation.partition_root is not None)
    return Effect.RISK if noticed else Effect.ROWS_WRONG


def report(
    context: Context, faults: Iterable[Fault], one: str, many: str, *, advice: str | None = None
) -> Iterator[Finding]:
    """Findings for `faults`; `one` and `many` end the sentence `3 triggers on x …`."""
    groups: dict[int, list[Fault]] = {}
    for fault in faults:
        root = fault.relation.partition_root or fault.relation.oid
        groups.setdefault(root, []).append(fault)
    if len(groups) > _TOGETHER:
        everything = [f for group in groups.values() for f in group]
        yield _finding(context, "(base tables)", everything, many, advice)
        return
    for root, group in groups.items():
        on = {f.relation.oid for f in group}
        table = context.snapshot.name_of(root if len(on) > 1 else on.pop())
        yield _finding(context, table, group, one if len(group) == 1 else many, advice)


def _finding(
    context: Context, object_: str, faults: list[Fault], what: str, advice: str | None
) -> Finding:
    relations = list({f.relation.oid: f.relation for f in faults}.values())
    tviews = list({f.tview.entity: f.tview for f in faults if f.tview}.values())
    stuck = {r.oid: why for r in relations if (why := unflushed(context, r))}
    effects = {f.effect for f in faults}
    if stuck:
        effects.add(Effect.WRITES_FAIL)
    effect = next(
        e for e in (Effect.WRITES_FAIL, Effect.ROWS_WRONG, Effect.RISK, Effect.NONE) if e in effects
    )
    missed = {f.tview.entity for f in faults if f.tview and f.rows}
    names = ", ".join(t.label for t in tviews[:4]) + (
        f" and {len(tviews) - 4} more" if len(tviews) > 4 else ""
    )
    where = object_ if not object_.startswith("(") else f"{len(relations)} tables"
    triggers = "1 trigger" if len(faults) == 1 else f"{len(faults)} triggers"
    detail = f"{triggers} on {where} {what}."
    if missed:
        detail += f" Some writes there do not reach {names}."
    if stuck:
        writes = "COPY" if set(stuck.values()) == {"COPY"} else "writes in autocommit"
        detail += (
            f" On {', '.join(context.snapshot.name_of(o) for o in list(stuck)[:3])} {writes} fail"
            " with SQLSTATE 55000: nothing flushes what the other triggers queue."
        )
    if effect is Effect.RISK and tviews and all(f.found in ("none", FIRES["D"]) for f in faults):
        detail += f" {names} {'is' if len(tviews) == 1 else 'are'} still kept up to date by others."
    return context.finding(
        object_,
        detail,
        severity=Severity.CRITICAL
        if effect in (Effect.WRITES_FAIL, Effect.ROWS_WRONG)
        else Severity.WARNING,
        effect=effect,
        affects=context.affected(*(t.table_oid for t in tviews)),
        evidence=_evidence(faults, several=len(relations) > 1),
        remedy=cure(context, faults, advice),
    )


def _evidence(faults: list[Fault], *, several: bool) -> list[dict[str, str]]:
    """A row for each TVIEW, table and kind of wrong: nine disabled triggers are three rows."""
    alike: dict[tuple[str, ...], list[Fault]] = {}
    for f in faults:
        key = (f.relation.qualified, f.entity or "", f.expected, f.found)
        alike.setdefault(key, []).append(f)
    rows = []
    for (table, entity, expected, found), group in alike.items():
        row = {"on": table} if several else {}
        first = group[0].trigger
        if len(group) == 1 and first:
            row["trigger"] = first.name
        row["kind"] = ", ".join(dict.fromkeys(f.kind for f in group))
        rows.append(row | {"argument": entity or "none", "expected": expected, "found": found})
    return rows


def cure(context: Context, faults: list[Fault], advice: str | None = None) -> Remedy:
    """Enable, drop and re-register in one transaction a table, then refresh what missed rows."""
    enable: dict[str, list[Trigger]] = {}
    drop: list[tuple[str, str]] = []
    again: dict[str, Tview] = {}
    locks: dict[str, None] = {}
    again_by = ("recreate", "reregister")
    for fault in faults:
        table = fault.relation.qualified
        if fault.cure == "enable" and fault.trigger:
            enable.setdefault(table, []).append(fault.trigger)
        if fault.cure in ("recreate", "drop") and fault.trigger:
            drop.append((fault.trigger.name, table))
            locks[f"{ACCESS_EXCLUSIVE} on {table}"] = None
        else:
            locks[f"{SHARE_ROW_EXCLUSIVE} on {table}"] = None
        if fault.cure in again_by and fault.tview:
            again[fault.tview.label] = fault.tview
    body = [
        f"ALTER TABLE {table}\n  "
        + ",\n  ".join(f"ENABLE TRIGGER {ident(n)}" for n in dict.fromkeys(t.name for t in found))
        + ";"
        for table, found in enable.items()
    ]
    body += [f"DROP TRIGGER {ident(name)} ON {table};" for name, table in dict.fromkeys(drop)]
    body += [context.dialect.reregister(label) for label in again]
    if drop and again:
        body = ["BEGIN;", *body, "COMMIT;"]
    rows = bring(context, [f.tview for f in faults if f.tview and f.rows])
    locks |= dict.fromkeys(rows.locks)
    notes = [advice] if advice else []
    if rows.sql:
        notes.append(f"The rows missed meanwhile are brought. {rows.note}")
    return Remedy(
        sql=(
            "SET lock_timeout = '2s';",
            *body,
            *rows.sql,
        ),
        role=who_owns(
            context,
            (
                *(f.relation.oid for f in faults),
                *(f.tview.table_oid for f in faults if f.tview and (f.rows or f.cure in again_by)),
            ),
            "the owner of the tables, or a superuser",
        ),
        locks=tuple(locks),
        undo=as_before(context.snapshot, [t for found in enable.values() for t in found])
        if enable and not drop and not again
        else None,
        note=" ".join(notes) or None,
    )


def as_before(snapshot: Snapshot, triggers: Iterable[Trigger]) -> str:
    """What gives `triggers` the states back that the snapshot saw.

    On a partitioned table a statement goes on to the copies on its partitions: those that had another
    state get theirs back after it.
    """
    wanted: dict[str, dict[str, None]] = {}
    for trigger in {t.oid: t for t in triggers}.values():
        for one in (trigger, *_copies(snapshot, trigger)):
            clause = f"{_STATE[one.enabled]} TRIGGER {ident(one.name)}"
            wanted.setdefault(snapshot.name_of(one.relation), {})[clause] = None
    return "\n".join(
        f"ALTER TABLE {table}\n  " + ",\n  ".join(clauses) + ";"
        for table, clauses in wanted.items()
    )


def _copies(snapshot: Snapshot, trigger: Trigger) -> Iterator[Trigger]:
    """Copies on partitions, however deep, whose state is not that of what they copy; upper ones first."""
    for copy in snapshot.triggers:
        if copy.parent == trigger.oid:
            if copy.enabled != trigger.enabled:
                yield copy
            yield from _copies(snapshot, copy)
