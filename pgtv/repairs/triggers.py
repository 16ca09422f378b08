"""Disabling the extension's triggers for a time, and giving them back: plans, out of a snapshot.

What is disabled is written down in the same transaction, after the locks: the states recorded are
those that the statements below change. Only the extension's own triggers are touched, by name, all
kinds of a TVIEW on a table together: a flush trigger missing among the others makes writes fail. A
table, with its partitions, is a transaction: whoever held one table while waiting for the next would
deadlock with transactions that write both. Nothing here calls the library, so it works where that
does not match or is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pgtv.catalog import dialects
from pgtv.catalog.model import Lease, Snapshot, Trigger, Tview
from pgtv.checks.examine import examine
from pgtv.checks.leases import Held, held, labels, remaining
from pgtv.checks.registry import select
from pgtv.errors import NotPossible
from pgtv.finding import Effect, Finding, Severity
from pgtv.graph.edges import Edges, edges
from pgtv.graph.select import require_seen
from pgtv.pasted import pasteable
from pgtv.plan import Plan, Step, plan_for
from pgtv.repairs import lease_sql
from pgtv.repairs.trigger_states import (
    SHARE_ROW_EXCLUSIVE,
    disabling,
    locked,
    restoring,
    trees,
)


def chosen(snapshot: Snapshot, tviews: Iterable[Tview] | None) -> list[Trigger]:
    """The extension's triggers that work for `tviews`; all of them, lost ones too, for None."""
    if gap := snapshot.gap("triggers"):
        raise NotPossible(f"the triggers could not be seen: {gap.reason}")
    entities = None if tviews is None else {t.entity for t in tviews}
    return [
        t for t in snapshot.triggers if t.kind and (entities is None or t.entity in entities)
    ]  # fmt: skip


def stale(snapshot: Snapshot, entities: Iterable[str]) -> list[Tview]:
    """The TVIEWs that no longer follow their tables while these are disabled, dependents included."""
    known = snapshot.tview_by_entity
    tables = [known[e].table_oid for e in entities if e in known]
    graph = edges(snapshot)
    return graph.in_order(graph.affected(tables))


def failing(snapshot: Snapshot) -> list[Finding]:
    """Why writes fail, or would as soon as triggers fire: a library or a registration that is broken."""
    return [
        f
        for f in examine(snapshot, select(("installation", "metadata"))).findings
        if f.severity is Severity.CRITICAL and f.effect is Effect.WRITES_FAIL
    ]


def disable(
    snapshot: Snapshot, tviews: Sequence[Tview] | None, seconds: float, reason: str
) -> Plan:
    """A lease over the triggers of `tviews`, None for every trigger; what leases hold is extended.

    seconds: how long from when it is applied. Raises NotPossible where there is nothing to disable,
    and where a lease holds these triggers together with others.
    """
    _acts(snapshot)
    triggers = chosen(snapshot, tviews)
    if not triggers:
        raise NotPossible(
            "there is no trigger to disable",
            "see which there should be: pgtv triggers status",
        )
    by_trigger = held(snapshot)
    leases = {h.lease.id: h.lease for t in triggers if (h := by_trigger.get(t.oid))}
    entities = {t.entity or "" for t in triggers}
    for lease in leases.values():
        others = tuple(sorted({t.entity for t in lease.triggers} - entities))
        if others:
            raise NotPossible(
                f"lease {lease.id} ({lease.reason}, {remaining(lease)}) holds triggers of these TVIEWs"
                f" and of {', '.join(labels(snapshot, others))}",
                "name those too to extend it, or end it first: pgtv triggers enable",
            )
    free = [t for t in triggers if t.oid not in by_trigger]
    steps = []
    for lease in leases.values():
        mine = [h.trigger for h in by_trigger.values() if h.lease.id == lease.id]
        steps.append(_extend(snapshot, lease, mine, seconds, reason))
    if any(t.enabled != "D" for t in free):
        steps.append(_take(snapshot, free, seconds, reason))
    elif not leases:
        raise NotPossible(
            "these triggers are disabled already, and no lease holds them",
            "enable them first (see pgtv doctor --only trigger-disabled), or leave them as they are",
        )
    asked = ("disable", *(t.label for t in tviews or ()))
    return _plan(snapshot, steps, asked)


def _take(snapshot: Snapshot, triggers: list[Trigger], seconds: float, reason: str) -> Step:
    entities = sorted({t.entity or "" for t in triggers})
    statements = [lease_sql.take(entities, seconds, reason)]
    for tree in trees(snapshot, triggers):
        groups: dict[tuple[str, str], list[str]] = {}
        for t in sorted(tree, key=lambda t: (t.relation, t.entity or "", t.name)):
            groups.setdefault((t.entity or "", snapshot.name_of(t.relation)), []).append(t.name)
        statements += locked(snapshot, tree, [lease_sql.hold(groups), *disabling(snapshot, tree)])
    tables = sorted({t.relation for t in triggers})
    on = "1 table" if len(tables) == 1 else f"{len(tables)} tables"
    missed = tuple(t.label for t in stale(snapshot, entities))
    return Step(
        phase="triggers",
        title=f"Disable {len(triggers)} triggers on {on} for {lease_sql.words(seconds)}",
        statements=tuple(statements),
        role="the owner of the tables who may write the schema pgtv, or a superuser",
        locks=_locks(snapshot, tables),
        note="Writes go on and do not reach "
        + (", ".join(missed) or "any TVIEW")
        + ". Only pgtv triggers enable ends it."
        + _still_failing(snapshot, triggers),
        tviews=missed,
        command="pgtv triggers enable --apply",
    )


def _still_failing(snapshot: Snapshot, triggers: list[Trigger]) -> str:
    """Where the library does not match, any trigger that still fires fails the writes of its table."""
    off = {t.oid for t in triggers}
    tables = {t.relation for t in triggers}
    left = {
        t.relation
        for t in snapshot.triggers
        if t.kind and t.enabled != "D" and t.oid not in off and t.relation in tables
    }
    if not left or not any(f.object.startswith("(") for f in failing(snapshot)):
        return ""
    names = ", ".join(snapshot.name_of(o) for o in sorted(left))
    return (
        f" Writes to {names} fail all the same, by triggers of other TVIEWs: name no TVIEW to disable"
        " every trigger of the extension."
    )


def _extend(
    snapshot: Snapshot, lease: Lease, mine: list[Trigger], seconds: float, reason: str
) -> Step:
    """Also disables what fires again: an update of the extension makes triggers anew."""
    statement, back = lease_sql.extend(lease, seconds, reason)
    firing = [t for t in mine if t.enabled != "D"]
    off: list[str] = []
    for tree in trees(snapshot, firing):
        off += locked(snapshot, tree, disabling(snapshot, tree))
    return Step(
        phase="triggers",
        title=f"Extend lease {lease.id} ({lease.reason}, {remaining(lease)}):"
        f" {lease_sql.words(seconds)} from now",
        statements=(statement, *off),
        role="who may write the schema pgtv" + (", the owner of the tables" if off else ""),
        locks=_locks(snapshot, sorted({t.relation for t in firing})),
        undo=None if off else (back,),
        command="pgtv triggers enable --apply",
    )


def enable(
    snapshot: Snapshot,
    tviews: Sequence[Tview] | None = None,
    *,
    expired: bool = False,
    rebuild: bool = False,
) -> Plan:
    """Give back what leases hold of `tviews` (None: all), then bring the rows missed meanwhile.

    expired: only leases whose time is over. What is owed from before is brought in any case.
    rebuild: by the extension's own refresh, while readers wait. Raises NotPossible.
    """
    _acts(snapshot)
    require_seen(snapshot)
    if gap := snapshot.gap("leases"):
        raise NotPossible(
            f"the leases could not be seen: {gap.reason}", f"needs {', '.join(gap.needs)}"
        )
    chosen(snapshot, None)  # raises where triggers could not be seen
    wanted = None if tviews is None else {t.entity for t in tviews}
    by_trigger = held(snapshot)
    steps: list[Step] = []
    owing: dict[int, set[str]] = {}
    for lease in snapshot.leases:
        if lease.owed and (wanted is None or wanted & set(lease.owed)):
            owing.setdefault(lease.id, set()).update(lease.owed)
        if expired and lease.remaining_seconds >= 0:
            continue
        entities = {t.entity for t in lease.triggers}
        entities = entities if wanted is None else entities & wanted
        if entities:
            back = [
                h
                for h in by_trigger.values()
                if h.lease.id == lease.id and h.record.entity in entities
            ]
            missed = {t.entity for t in stale(snapshot, entities)}
            steps.append(_give_back(snapshot, lease, entities, back, missed))
            owing.setdefault(lease.id, set()).update(lease.owed, missed)
    if any(owing.values()):
        steps.append(_rows(snapshot, owing, rebuild=rebuild))
    asked = ("enable", *(["--expired"] if expired else []), *(t.label for t in tviews or ()))
    return _plan(snapshot, steps, asked)


def _give_back(
    snapshot: Snapshot, lease: Lease, entities: set[str], back: list[Held], missed: set[str]
) -> Step:
    by_trigger = {h.trigger.oid: h for h in back}
    owe = lease_sql.owe(lease, missed)
    statements: list[str] = []
    for tree in trees(snapshot, [h.trigger for h in back]):
        tables = sorted({t.relation for t in tree})
        statements += locked(
            snapshot,
            tree,
            [
                *restoring(snapshot, [by_trigger[t.oid] for t in tree]),
                # with the first trigger that fires again: what came before has been missed
                *([] if statements else [owe]),
                lease_sql.let_go(lease, entities, tables),
            ],
        )
    recorded = sum(t.entity in entities for t in lease.triggers)
    gone = recorded - len({h.record.trigger for h in back} & {t.trigger for t in lease.triggers})
    rest = lease_sql.let_go(lease, entities, None)
    first = [] if statements else [owe]
    statements += ["BEGIN;", *first, rest, lease_sql.end(lease), "COMMIT;"]
    return Step(
        phase="triggers",
        title=f"Give {len(back)} triggers their states of before lease {lease.id} ({lease.reason})",
        statements=tuple(statements),
        role="the owner of the tables who may write the schema pgtv, or a superuser",
        locks=_locks(snapshot, sorted({h.trigger.relation for h in back})),
        note=f"{gone} triggers of the lease are gone, with their tables." if gone > 0 else None,
        tviews=tuple(t.label for t in stale(snapshot, entities)),
    )


def _rows(snapshot: Snapshot, owing: dict[int, set[str]], *, rebuild: bool) -> Step:
    owed = set().union(*owing.values())
    reached = stale(snapshot, owed)
    graph: Edges = edges(snapshot)
    dialect = dialects.named(snapshot.extension.generation)
    refreshes = [dialect.refresh(t.label) for t, _ in graph.covering(reached)]
    mode = "ACCESS" if rebuild else "ROW"
    return Step(
        phase="rows",
        title="Bring the rows that were missed",
        statements=(*refreshes, lease_sql.settled(owing, owed)) if rebuild else (),
        role="the TVIEWs' owner, or a superuser",
        locks=tuple(f"{mode} EXCLUSIVE on {t.label}" for t in reached),
        note="Blocks readers and writers of these TVIEWs until it ends."
        if rebuild
        else "The lease says that rows are owed until all of them are equal to their definitions.",
        tviews=tuple(t.label for t in reached),
        merge=not rebuild,
        command="pgtv triggers enable --apply",
    )


def _acts(snapshot: Snapshot) -> None:
    dialect = dialects.named(snapshot.extension.generation)
    if not snapshot.extension.installed:
        raise NotPossible("the extension is not installed in this database", "name it with -d")
    if not dialect.acts:
        raise NotPossible(f"pgtv only looks at catalogs of the generation {dialect.name}")


def _locks(snapshot: Snapshot, tables: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{SHARE_ROW_EXCLUSIVE} on {snapshot.name_of(o)}" for o in tables)


def _plan(snapshot: Snapshot, steps: Iterable[Step], asked: tuple[str, ...]) -> Plan:
    return plan_for(snapshot, (_pasteable(s) for s in steps), asked=asked)


def _pasteable(step: Step) -> Step:
    return replace(step, statements=tuple(pasteable(s) for s in step.statements))
