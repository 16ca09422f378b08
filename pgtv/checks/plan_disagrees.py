"""A TVIEW's plan is wrong in itself: OIDs, paths or embeds do not fit its relations.

Meaning:
    The plan lists each relation that the definition reads, by name and OID, how changed rows of it
    lead to the TVIEW's rows, and the TVIEWs that it embeds. Here an OID belongs to another relation
    than the name beside it or to none, a path, an embed or a column is missing, a base table counts
    as a TVIEW, or the table that a function was declared to read is not listed. An edited catalog and
    a restore without its triggers leave such plans. (Whether the plan lists what the view reads is
    reads-disagree's question.)

Impact:
    Triggers fire, the library finds no way from their table to the rows, and the write succeeds
    without reaching the TVIEW. The extension's health check sees at most orphaned triggers.

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
from pgtv.checks.bindings import GENERATIONS, relations_read, reregister
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        view = context.snapshot.by_oid.get(tview.view_oid)
        if tview.plan_error or not isinstance(tview.plan, dict) or not view or view.kind != "v":
            continue
        wrong = list(_wrong(context, tview))
        if not wrong:
            continue
        yield context.finding(
            tview.label,
            f"The plan of {tview.label} is wrong in itself: writes to some of what it reads do not "
            "reach it, silently.",
            affects=context.affected(tview.table_oid),
            evidence=wrong,
            remedy=reregister(context, tview, refresh=True),
        )


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
    for table in tables:
        if table["kind"] == "local" and table["relid"] not in paths and _has_paths(context):
            yield {"local": table["table"], "plan": "has no path from it"}
        embedded = table.get("tview")
        if table["kind"] == "propagated" and embedded and embedded not in embeds:
            yield {"embedded": table["table"], "plan": f"does not embed {embedded}"}
        if table["kind"] == "propagated" and table["relid"] not in snapshot.tview_by_table:
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
