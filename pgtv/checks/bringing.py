"""How rows are brought right again: the one place that decides between refresh and comparison.

The extension's refresh empties a TVIEW's table, and that of every TVIEW that follows from it, and fills
them. PostgreSQL refuses to empty a table that another one's foreign key points at (0A000). There each
TVIEW is compared with its definition instead, by the extension too, and only rows that differ are
written.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgtv.catalog.dialects.base import Dialect
from pgtv.catalog.model import Snapshot, Tview
from pgtv.checks.declare import Context
from pgtv.graph.edges import Edges

WAITING = "Readers of the TVIEWs wait while it refreshes."


@dataclass(frozen=True)
class Root:
    """A TVIEW from which rows are brought, and the names of all that follow from it, itself among them.

    called: the name by which the extension's functions find it.
    """

    called: str
    entity: str
    label: str
    reached: tuple[str, ...]


@dataclass(frozen=True)
class Bringing:
    """Part of a cure. note: who waits, and why no refresh where there is none. words: the same as
    `sql`, short enough to stand in a sentence."""

    sql: tuple[str, ...]
    locks: tuple[str, ...]
    note: str
    words: str
    refreshes: bool = True  # by the extension's refresh alone


def bring(
    context: Context, tviews: Iterable[Tview], *, called: str | None = None,
    affects: Sequence[str] = (), apart: Sequence[str] = (),
) -> Bringing:  # fmt: skip
    """What brings the rows of `tviews` and of all that follow from them.

    called: of a single one, the name that it has by then. affects: what follows from a single one,
    where the catalog does not tell. apart: tables that inherit from none of them any more by then.
    """
    chosen = list(tviews)
    roots = [
        Root(
            called or t.label,
            t.entity,
            t.label,
            tuple(affects) or context.affected(t.table_oid) or (t.label,),
        )
        for t in refresh_roots(context, chosen)
    ]
    order = tuple(affects) or context.affected(*(t.table_oid for t in chosen))
    return from_roots(context.snapshot, context.edges, context.dialect, roots, order, apart)


def from_roots(
    snapshot: Snapshot,
    graph: Edges,
    dialect: Dialect,
    roots: Sequence[Root],
    order: Sequence[str] = (),
    apart: Sequence[str] = (),
) -> Bringing:
    """The same for TVIEWs that may not be registered yet. order: of names, in the locks."""
    refreshed: list[Root] = []
    compared: dict[str, str] = {}
    refused: dict[str, None] = {}
    helpless: dict[str, None] = {}
    named: list[str] = []
    for root in roots:
        referrer = referring(snapshot, root.reached)
        again = dialect.reconcile(root.entity)
        if referrer is None or again is None:
            refreshed.append(root)
            if referrer:
                helpless[referrer] = None
            continue
        refused[referrer] = None
        named.append(root.label)
        below = [t for t in snapshot.tviews if t.label in root.reached and t.entity != root.entity]
        compared[again] = root.label
        for tview in graph.in_order(below):
            compared[dialect.reconcile(tview.entity) or ""] = tview.label
    emptied = {name for root in refreshed for name in root.reached}
    names = list(dict.fromkeys([*order, *(n for root in roots for n in root.reached)]))
    locks = _refreshing(snapshot, [n for n in names if n in emptied], apart)
    others = [n for n in names if n not in emptied]
    if others:
        locks += (f"ROW EXCLUSIVE on {', '.join(others)} (the comparison)",)
    notes = [WAITING] if refreshed else []
    if refused:
        notes.append(
            f"A foreign key of {', '.join(refused)} points at a table that a refresh would empty, "
            "which PostgreSQL refuses (0A000): each TVIEW is compared with its definition instead, and "
            "only what differs is written. Writers of what it reads wait meanwhile, readers do not."
        )
    if helpless:
        notes.append(
            f"A foreign key of {', '.join(helpless)} points at a table that it empties: it fails "
            "(0A000) until that is dropped."
        )
    sql = (*(dialect.refresh(r.called) for r in refreshed), *compared)
    words = " ".join(
        [
            *(dialect.refresh(r.called) for r in refreshed),
            *(merging(label) for label in named),
        ]
    )
    return Bringing(sql, locks, " ".join(notes), words, not refused)


def merging(table: str) -> str:
    """The command that merges rows, where the extension's own refresh would fail."""
    return f"pgtv refresh {shlex.quote(table)} --apply"


def statements(snapshot: Snapshot, dialect: Dialect) -> dict[str, str]:
    """Of every table, registered or not yet: what brings its rows in a finding -> its name."""
    found: dict[str, str] = {}
    for relation in snapshot.relations:
        if relation.kind == "r":
            tview = snapshot.tview_by_table.get(relation.oid)
            entity = tview.entity if tview else relation.name.removeprefix("tv_")
            again = dialect.reconcile(entity)
            if again and (tview or relation.name.startswith("tv_")):
                found.setdefault(again, relation.qualified)
            found[dialect.refresh(relation.qualified)] = relation.qualified
            found[merging(relation.qualified)] = relation.qualified
    return found


def referring(snapshot: Snapshot, tviews: Iterable[str]) -> str | None:
    """A table of which a foreign key points at one of these tables, which cannot be truncated then."""
    wanted = set(tviews)
    for relation in snapshot.relations:
        if relation.qualified in wanted:
            for constraint in relation.constraints:
                if constraint.kind == "f" and constraint.table != relation.qualified:
                    return constraint.table
    return None


def refresh_roots(context: Context, tviews: Iterable[Tview]) -> list[Tview]:
    """Those of `tviews` that have to be refreshed so that all of them are.

    A refresh also refreshes every TVIEW whose plan embeds or maps the one refreshed; in old
    releases it does not, and then every TVIEW downstream is refreshed, nearest first.
    """
    wanted = {t.entity: t for t in tviews}
    if not context.dialect.refresh_cascades:
        return context.edges.affected(t.table_oid for t in wanted.values())
    covered = {e for t in wanted.values() for e in _followers(context, t.entity)} - {
        e for e in wanted if e in _followers(context, e)
    }
    return [t for e, t in wanted.items() if e not in covered]


def _followers(context: Context, entity: str) -> set[str]:
    found: set[str] = set()
    below = [entity]
    while below:
        parent = below.pop()
        for tview in context.snapshot.tviews:
            if tview.entity not in found and parent in _parents(tview):
                found.add(tview.entity)
                below.append(tview.entity)
    return found


def _parents(tview: Tview) -> set[str]:
    plan = tview.plan if isinstance(tview.plan, dict) else {}
    embeds, tables = plan.get("embeds"), plan.get("tables")
    entries = [*(embeds if isinstance(embeds, list) else ())]
    parents = {e.get("entity") for e in entries if isinstance(e, dict)}
    parents |= {
        e.get("tview") for e in (tables if isinstance(tables, list) else ()) if isinstance(e, dict)
    }
    return {p for p in parents if isinstance(p, str)}


def _refreshing(snapshot: Snapshot, labels: Sequence[str], apart: Sequence[str]) -> tuple[str, ...]:
    """A refresh empties and fills each of `labels`, and with a table the tables that inherit from it."""
    if not labels:
        return ()
    chosen = {r.oid for r in snapshot.relations if r.qualified in labels}
    heirs = [
        r.qualified
        for r in snapshot.relations
        if chosen.intersection(r.inherits) and r.qualified not in (*labels, *apart)
    ]
    return (f"ACCESS EXCLUSIVE on {', '.join([*labels, *heirs])} (the refresh)",)
