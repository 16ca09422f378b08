"""A TVIEW's plan is wrong in itself: OIDs, paths or embeds do not fit its relations.

Meaning:
    The plan lists each relation that the definition reads, by name and OID, how changed rows of it
    lead to the TVIEW's rows, and the TVIEWs that it embeds. Here an OID belongs to another relation
    than the name beside it or to none, a path, an embed or a column is missing, a base table counts
    as a TVIEW, a TVIEW is embedded that the view does not read, or the table that a function was
    declared to read is not listed. An edited catalog and
    a restore without its triggers leave such plans. (Whether the plan lists what the view reads is
    reads-disagree's question.)

Impact:
    Triggers fire, the library finds no way from their table to the rows, and the write succeeds
    without reaching the TVIEW. An embed that is not read does worse: writes that reach it fail, with
    SQLSTATE 42P17 where TVIEWs then embed each other in a circle. The extension's health check sees
    at most orphaned triggers.

Diagnosis:
    The OIDs are looked up in pg_class, the relations in the plan's own paths and embeds.

Mitigation:
    Re-registering derives the plan from the backing view; a refresh brings the rows missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Tview
from pgtv.checks.bindings import GENERATIONS, relations_read, reregister, views_read
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        view = context.snapshot.by_oid.get(tview.view_oid)
        if tview.plan_error or not isinstance(tview.plan, dict) or not view or view.kind != "v":
            continue
        unread = _invented(context, tview)
        # nothing that is not registered is refreshed, and so nothing is looked up from there
        invented = [e for e in unread if e in context.snapshot.tview_by_entity]
        wrong = [
            *({"embeds": entity, "view": "does not read it"} for entity in invented),
            *(
                {"embeds": entity, "is": "not registered"}
                for entity in unread
                if entity not in invented
            ),
            *_wrong(context, tview),
        ]
        if not wrong:
            continue
        circle = _circle(context, tview.entity) if invented else None
        if circle:
            wrong.insert(0, {"circle": " -> ".join(circle)})
        yield context.finding(
            tview.label,
            f"The plan of {tview.label} is wrong in itself: "
            + (
                f"it closes the circle {' -> '.join(circle)}, and writes that reach any of these fail "
                "with SQLSTATE 42P17."
                if circle
                else f"it embeds {', '.join(invented)}, which its view does not read; writes that "
                "reach those fail."
                if invented
                else "writes to some of what it reads do not reach it, silently."
            ),
            effect=Effect.WRITES_FAIL if invented else None,
            affects=_affected(context, tview, circle),
            evidence=wrong,
            remedy=reregister(context, tview, refresh=True),
        )


def _affected(context: Context, tview: Tview, circle: list[str] | None) -> tuple[str, ...]:
    by_entity = context.snapshot.tview_by_entity
    more = [by_entity[e].table_oid for e in circle or () if e in by_entity]
    return context.affected(tview.table_oid, *more)


def _embeds(tview: Tview) -> list[str]:
    plan = tview.plan if isinstance(tview.plan, dict) and not tview.plan_error else {}
    return [str(e["entity"]) for e in plan.get("embeds", ())]


def _invented(context: Context, tview: Tview) -> list[str]:
    """Entities that the plan embeds and the view does not read, neither their table nor their view."""
    if not _has_paths(context):
        return []
    read = relations_read(context, tview.view_oid)
    by_entity = context.snapshot.tview_by_entity
    by_view = _read_by_view(context, tview)
    return [
        entity
        for entity in dict.fromkeys(_embeds(tview))
        if entity not in by_entity
        or (by_entity[entity].table_oid not in read and entity not in by_view)
    ]


def _read_by_view(context: Context, tview: Tview) -> frozenset[str]:
    """Entities whose backing view is read instead of their table, as early releases wanted it.

    The extension embeds them all the same, also after its update from such a release.
    """
    read = set(views_read(context, tview.view_oid)) - {tview.view_oid}
    return frozenset(t.entity for t in context.snapshot.tviews if t.view_oid in read)


def _circle(context: Context, start: str) -> list[str] | None:
    """The shortest way along embeds from `start` back to itself."""
    by_entity = context.snapshot.tview_by_entity
    ways = [[start]]
    seen = set()
    for way in ways:
        tview = by_entity.get(way[-1])
        for entity in _embeds(tview) if tview else ():
            if entity == start:
                return [*way, start]
            if entity not in seen:
                seen.add(entity)
                ways.append([*way, entity])
    return None


def _wrong(context: Context, tview: Tview) -> Iterator[dict[str, Any]]:
    snapshot, plan = context.snapshot, tview.plan
    tables = plan.get("tables", ())
    planned = {t["relid"] for t in tables}
    for _, declared in tview.function_reads:
        if declared and declared not in planned:
            yield {"read by a function": snapshot.name_of(declared), "plan": "does not list it"}
    for table in tables:
        relation = snapshot.by_oid.get(table["relid"])
        if relation is None:
            yield {"plan": table["table"], "relid": table["relid"], "is": "nothing"}
        elif relation.qualified != table["table"] and _elsewhere(context, tview, table):
            yield {"plan": table["table"], "relid": table["relid"], "is": relation.qualified}
    paths = {p["source_oid"] for p in plan.get("paths", ())}
    embeds = {e["entity"] for e in plan.get("embeds", ())}
    by_view = _read_by_view(context, tview)
    for table in tables:
        if table["kind"] == "local" and table["relid"] not in paths and _has_paths(context):
            yield {"local": table["table"], "plan": "has no path from it"}
        embedded = table.get("tview")
        if table["kind"] == "propagated" and embedded and embedded not in embeds:
            yield {"embedded": table["table"], "plan": f"does not embed {embedded}"}
        if (
            table["kind"] == "propagated"
            and table["relid"] not in snapshot.tview_by_table
            and table.get("entity") not in by_view
        ):
            yield {"propagated": table["table"], "plan": "waits for a TVIEW that this is none of"}
        if table["kind"] in ("local", "mapped"):
            yield from _unwatched(context, tview, table)


def _unwatched(context: Context, tview: Tview, table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Columns that the backing view reads and the plan does not list: their updates are left out."""
    relation = context.snapshot.by_oid.get(table["relid"])
    watched = table.get("attnums")
    if relation is None or not isinstance(watched, list):
        return
    number = {c.name: c.attnum for c in relation.columns}
    for read in context.snapshot.reads_of.get(tview.view_oid, ()):
        if read.relation == relation.oid:
            lost = [c for c in read.columns if c in number and number[c] not in watched]
            if lost:
                yield {
                    "read": f"{relation.qualified} ({', '.join(lost)})",
                    "plan": "does not watch it",
                }


def _elsewhere(context: Context, tview: Tview, table: dict[str, Any]) -> bool:
    """Whether the name beside an OID belongs to another relation, which the view reads."""
    read = relations_read(context, tview.view_oid)
    named = next((r for r in context.snapshot.relations if r.qualified == table["table"]), None)
    return named is not None and table["relid"] not in read and named.oid in read


def _has_paths(context: Context) -> bool:
    """The stand-in's plans have no paths."""
    return context.snapshot.extension.generation == "current"


CHECK = Check(
    id="plan-disagrees",
    title="A plan is wrong: writes do not reach the TVIEW",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "reads"),
    consequence_of=("view-mismatch", "table-mismatch", "registration-missing", "reads-disagree"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_customer ADD COLUMN phone text;"
        " ALTER TABLE public.tb_category RENAME TO tb_kind;",
        break_=f"UPDATE {registering.META} SET plan = jsonb_set(plan, '{{embeds}}', '[]')"
        " WHERE entity = 'order'; UPDATE public.tb_customer SET name = 'changed'"
        " WHERE pk_customer = 1;",
        object='"Sales Dept".tv_order',
    ),
)
