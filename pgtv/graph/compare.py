"""The three sources held against each other: definition text, pg_depend, the extension's plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgtv.catalog.model import Snapshot, Tview
from pgtv.graph.edges import planned_relations
from pgtv.graph.lineage import Definitions, Lineage, used


@dataclass(frozen=True)
class Difference:
    """Something that one source knows of a TVIEW's reads and another does not.

    kind: `unplanned` (the view reads it, the plan does not know), `planned` (the plan names it, the
    view reads it no more), `unplanned-column` (the plan would ignore updates of that column),
    `defined` (the definition text reads it, the backing view does not), `undefined` (the other way).
    """

    kind: str
    tview: Tview
    relation: int | None
    name: str
    column: str | None = None


def differences(snapshot: Snapshot, read: Definitions | None = None) -> Iterator[Difference]:
    """All of them, TVIEW by TVIEW. A source that is missing or unreadable is not compared.

    read: the snapshot's definitions, where the caller has them already.
    """
    read = read or Definitions(snapshot)
    folded = snapshot.table_of_view
    for tview in snapshot.tviews:
        direct = direct_reads(snapshot, tview.view_oid)
        if not direct:
            continue  # the backing view is gone: another finding
        if isinstance(tview.plan, dict) and not tview.plan_error:
            yield from _against_plan(snapshot, read.by_reader, tview)
        if tview.definition:
            named = {folded.get(o, o) for o in direct}
            yield from _against_text(snapshot, read.own(tview), tview, named, folded)


def direct_reads(snapshot: Snapshot, view: int) -> dict[int, frozenset[str]]:
    """Relations that a view reads itself, with the columns that pg_depend knows."""
    return {
        r.relation: frozenset(r.columns)
        for r in snapshot.reads_of.get(view, ())
        if r.relation is not None
    }


def base_reads(snapshot: Snapshot, view: int) -> dict[int, frozenset[str]]:
    """What a view reads when helper views are followed: tables, TVIEWs, materialized views."""
    found: dict[int, frozenset[str]] = {}
    pending, seen = [view], {view}
    while pending:
        for oid, columns in direct_reads(snapshot, pending.pop()).items():
            relation = snapshot.by_oid.get(oid)
            if relation is not None and relation.kind == "v":
                if oid not in seen:
                    seen.add(oid)
                    pending.append(oid)
            else:
                found[oid] = found.get(oid, frozenset()) | columns
    return found


def _against_plan(
    snapshot: Snapshot, by_reader: dict[int, Lineage], tview: Tview
) -> Iterator[Difference]:
    depend = base_reads(snapshot, tview.view_oid)
    planned = set(planned_relations(tview))
    declared = {oid for _, oid in tview.function_reads if oid}
    for oid in sorted(planned - set(depend) - declared):
        yield Difference("planned", tview, oid, snapshot.name_of(oid))
    # what is read and changes nothing is rightly in no plan; only the text tells it apart
    relevant = used(snapshot, by_reader, tview.table_oid)
    if relevant is None:
        return
    for oid in sorted(set(depend) & set(relevant) - planned):
        if oid in snapshot.by_oid:  # system catalogs are no part of the snapshot
            yield Difference("unplanned", tview, oid, snapshot.name_of(oid))
    for entry in tview.plan["tables"]:
        oid = entry["relid"]
        columns = entry.get("columns")
        if oid not in depend or not isinstance(columns, list) or not columns:
            continue
        if entry.get("kind") not in ("local", "mapped", "propagated"):
            continue
        # the plan keeps names of the day of registration: numbers outlive a renaming
        relation = snapshot.by_oid.get(oid)
        numbers = entry.get("attnums")
        known = {c for c in columns if isinstance(c, str)}
        if relation is not None and isinstance(numbers, list):
            known |= {c.name for c in relation.columns if c.attnum in numbers}
        for column in sorted((depend[oid] & relevant.get(oid, set())) - known):
            yield Difference("unplanned-column", tview, oid, snapshot.name_of(oid), column)


def _against_text(
    snapshot: Snapshot, lineage: Lineage, tview: Tview, direct: set[int], folded: dict[int, int]
) -> Iterator[Difference]:
    """folded: backing views to the tables that stand for them; `direct` is folded already."""
    if lineage.reads is None:
        return  # not parseable by this pglast: the server's own view is what counts
    named = {folded.get(o, o) for o in lineage.relations.values()}
    for schema, name in lineage.unresolved:
        if schema not in ("pg_catalog", "information_schema"):
            yield Difference("defined", tview, None, f"{schema}.{name}" if schema else name)
    for oid in sorted(named - direct):
        yield Difference("defined", tview, oid, snapshot.name_of(oid))
    for oid in sorted(direct - named):
        if oid in snapshot.by_oid and not lineage.unresolved:
            yield Difference("undefined", tview, oid, snapshot.name_of(oid))
