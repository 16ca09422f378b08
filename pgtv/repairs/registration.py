"""Brings registrations back as a source holds them: a pure function of two states.

Each TVIEW is one transaction: its backing view, its catalog row, then re-registering, which derives
the plan and makes the triggers. Upstream comes first, because a TVIEW whose sources are not registered
would be planned as if they were plain tables. The tv_ table is not touched: rows, grants, indexes,
policies, comments and what depends on it stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pgtv.catalog.dialects import registering
from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Snapshot, Tview
from pgtv.plan import Step
from pgtv.repairs.registered import Registration
from pgtv.repairs.restoring import Now, look, owner_of, same_query, step


@dataclass(frozen=True)
class Restored:
    """Steps that bring TVIEWs back, and what they are about.

    refused: entity to why it is left alone. tables: qualified names of the TVIEWs restored.
    """

    steps: tuple[Step, ...] = ()
    tables: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def intact(snapshot: Snapshot, wanted: Registration) -> bool:
    """Whether the TVIEW is registered as `wanted` says, as far as catalogs tell."""
    now = look(snapshot)
    tview = snapshot.tview_by_entity.get(wanted.entity)
    table, view = now.table(wanted), now.view(wanted)
    return (
        tview is not None
        and table is not None
        and view is not None
        and view.kind == "v"
        and (tview.table_oid, tview.view_oid) == (table.oid, view.oid)
        and not tview.plan_error
        and not tview.needs_reregister
        and not differences(tview, wanted)
        and same_query(now, view, wanted)
    )


def differences(tview: Tview, wanted: Registration) -> list[str]:
    """The columns of a catalog row in which it differs from `wanted`; not when it was created."""
    now, then = registering.restorable(tview.raw), dict(wanted.row)
    found = [
        column
        for column in registering.KEPT
        if column not in ("created_at", "managed_index_names")
        and now.get(column) != then.get(column)
    ]
    if " ".join(tview.definition.split()).rstrip("; ") != " ".join(wanted.text.split()):
        found.insert(0, "definition")
    return found


def restore(
    snapshot: Snapshot,
    wanted: Iterable[Registration],
    decided: frozenset[str] = frozenset(),
    absent: frozenset[tuple[str, str]] = frozenset(),
) -> Restored:
    """Steps that register `wanted` in the database of `snapshot`, upstream first.

    decided: entities whose definition a person has chosen; only for these is a backing view that
    stands and says something else replaced. absent: what registrations need and is not there, as
    sources.absent tells; what reads it, directly or not, is left alone.
    """
    now = look(snapshot)
    steps: list[Step] = []
    done: list[Registration] = []
    refused: dict[str, str] = {}
    for registration in in_order(wanted):
        why = _lacks(now, registration, absent, refused) or _refusal(now, registration, decided)
        if why:
            refused[registration.entity] = why
            continue
        steps.append(step(now, registration, decided))
        done.append(registration)
    again = _readers(now, done)
    return Restored(
        (*_readable(now, done), *steps, *again),
        tuple(_label(now, r) for r in done),
        tuple(r.entity for r in done),
        refused,
    )


def _label(now: Now, r: Registration) -> str:
    table = now.table(r)
    return table.qualified if table else r.table


def in_order(wanted: Iterable[Registration]) -> list[Registration]:
    """Upstream first."""
    chosen = {r.entity: r for r in wanted}
    reads = {e: r.reads & chosen.keys() for e, r in chosen.items()}
    ordered: dict[str, Registration] = {}

    def visit(entity: str, path: frozenset[str]) -> None:
        if entity in ordered or entity in path:
            return  # a cycle is the library's to refuse
        for upstream in sorted(reads[entity]):
            visit(upstream, path | {entity})
        ordered[entity] = chosen[entity]

    for entity in sorted(chosen):
        visit(entity, frozenset())
    return list(ordered.values())


def _lacks(
    now: Now,
    r: Registration,
    absent: frozenset[tuple[str, str]],
    refused: Mapping[str, str],
) -> str | None:
    """What it reads and is not there. A view that stands knows what its tables are called now."""
    missing = sorted(r.needs & absent) if now.view(r) is None else []
    if missing:
        return "it reads what is not there: " + ", ".join(
            f"{kind} {name}" for kind, name in missing
        )
    below = sorted(r.reads & refused.keys())
    return f"it reads tv_{below[0]}, which is left alone" if below else None


def _refusal(now: Now, r: Registration, decided: frozenset[str]) -> str | None:
    """Why this TVIEW cannot be brought back by itself, or None."""
    table, view = now.table(r), now.view(r)
    if table is None:
        other = now.relations.get((r.schema, r.name))
        if other:
            return f"{other.qualified} is no table (relkind {other.kind})"
        moved = now.snapshot.by_oid.get(r.table_oid) if r.table_oid else None
        if moved and moved.kind == "r" and {c.name for c in moved.columns} >= set(r.columns or ()):
            return (
                f"its table is called {moved.qualified} now. To bring it back under its name: "
                f"ALTER TABLE {moved.qualified} RENAME TO {ident(r.name)};"
            )
        if owner_of(now, r) is None:
            return (
                f"its table and its backing view are gone, and {r.origin} does not say whose they were."
                " Run the file as the role that is to own it, or give a snapshot with --from"
            )
        return None
    columns = {c.name for c in table.columns}
    if r.columns is not None and not set(r.columns) <= columns:
        lacks = ", ".join(ident(c) for c in r.columns if c not in columns)
        return f"{table.qualified} has no column {lacks}, which the definition of {r.origin} gives"
    other_row = next((t for t in now.snapshot.tviews if t.table_oid == table.oid), None)
    if other_row and other_row.entity != r.entity and other_row.name != f"tv_{other_row.entity}":
        return None  # a row under another entity: it is taken over
    if view is None or r.entity in decided:
        return None
    if view.kind != "v":
        return f"{view.qualified} is no view (relkind {view.kind})"
    if view.definition is None:
        return f"{view.qualified} stands, but its query could not be seen: somebody locks it"
    if not same_query(now, view, r):
        return _disagree(view, r)
    return None


def _disagree(view: Relation, r: Registration) -> str:
    import difflib

    lines = difflib.unified_diff(
        (view.definition or "").splitlines(), r.query.splitlines(),
        f"{view.qualified}, as it stands", r.origin, lineterm="", n=1,
    )  # fmt: skip
    return (
        "two sources define it, and they disagree. Say which is right with --definition FILE "
        "(SQL that defines it, or a snapshot):\n" + "\n".join(lines)
    )


def _readable(now: Now, done: Sequence[Registration]) -> list[Step]:
    """Before any is registered, for which the library reads the plans of all."""
    tviews = [now.snapshot.tview_by_entity.get(r.entity) for r in done]
    unread = [t for t in tviews if t and t.plan_error]
    if not unread or len(done) == 1:  # its own step writes a plan first
        return []
    return [
        Step(
            phase="registration",
            title="Empty plans that the library cannot read: it reads all of them to register one",
            statements=(
                registering.empty_plans(now.dialect, now.schema, [t.entity for t in unread]),
            ),
            role="superuser",
            tviews=tuple(t.label for t in unread),
        )
    ]


def _readers(now: Now, done: Sequence[Registration]) -> list[Step]:
    """Registered TVIEWs that read a restored one: planned while it was a plain table, perhaps."""
    oids = {t.oid for r in done if (t := now.table(r))}
    restored = {r.entity for r in done}
    views = {t.view_oid: t for t in now.snapshot.tviews if t.entity not in restored}
    found = {
        views[read.reader].label: views[read.reader]
        for read in now.snapshot.reads
        if read.reader in views and read.relation in oids
    }
    return [
        Step(
            phase="registration",
            title=f"Register {label} again: it reads what was restored",
            statements=(now.dialect.reregister(label),),
            role=f"owner of {label}",
            tviews=(label,),
        )
        for label in sorted(found)
        if not found[label].plan_error
    ]


def trust(snapshot: Snapshot, wanted: Iterable[Registration]) -> list[Step]:
    """Steps for UNLOGGED TVIEWs that were trusted and are not; only once their rows were compared."""
    now = look(snapshot)
    found = []
    for r in wanted:
        tview = snapshot.tview_by_entity.get(r.entity)
        if r.trusted and not (tview and tview.valid):
            label = _label(now, r)
            statement = registering.trust(now.dialect, now.schema, r.entity)
            found.append(
                Step(
                    phase="rows",
                    title=f"Say that the rows of {label} are right",
                    statements=(statement,),
                    role="superuser",
                    note="It is UNLOGGED: else its next write would refill it as after a crash.",
                    tviews=(label,),
                )
            )
    return found
