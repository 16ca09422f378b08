"""A TVIEW's plan leaves out, or gets wrong, what its backing view reads.

Meaning:
    The plan lists each relation that the definition reads, how changed rows of it lead to the TVIEW's
    rows, and the TVIEWs that it embeds. It disagrees with what PostgreSQL recorded of the backing
    view: a relation is missing, an OID belongs to another relation than the name beside it or to
    none, a path or an embed is missing, or a relation is listed that is no longer read.

Impact:
    Triggers fire, the library finds nothing in the plan for their table, and the write succeeds
    without reaching the TVIEW. The extension's health check sees at most orphaned triggers.

Diagnosis:
    The plan's relations are compared with pg_depend of the backing view, followed through plain
    views, and with the functions' declared reads; its paths and embeds with its relations.

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
        superfluous = list(_superfluous(context, tview))
        if not wrong and not superfluous:
            continue
        yield context.finding(
            tview.label,
            f"The plan of {tview.label} disagrees with what its backing view reads: "
            + (
                "writes to some of it do not reach the TVIEW, silently."
                if wrong
                else "it lists what is no longer read."
            ),
            severity=Severity.CRITICAL if wrong else Severity.WARNING,
            effect=Effect.ROWS_WRONG if wrong else Effect.RISK,
            affects=context.affected(tview.table_oid),
            evidence=[*wrong, *superfluous],
            remedy=reregister(context, tview, refresh=bool(wrong)),
        )


def _wrong(context: Context, tview: Tview) -> Iterator[dict[str, Any]]:
    snapshot, plan = context.snapshot, tview.plan
    tables = plan.get("tables", ())
    planned = {t["relid"] for t in tables}
    for oid, columns in relations_read(context, tview.view_oid).items():
        # of a relation that is only named, not a column read, the extension may plan nothing
        if columns and oid not in planned:
            yield {"read": snapshot.name_of(oid), "plan": "does not list it"}
    for _, oid in tview.function_reads:
        if oid and oid not in planned:
            yield {"read by a function": snapshot.name_of(oid), "plan": "does not list it"}
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


def _elsewhere(context: Context, tview: Tview, table: dict[str, Any]) -> bool:
    """Whether the name beside an OID belongs to another relation, which the view reads."""
    read = relations_read(context, tview.view_oid)
    named = next((r for r in context.snapshot.relations if r.qualified == table["table"]), None)
    return named is not None and table["relid"] not in read and named.oid in read


def _has_paths(context: Context) -> bool:
    """The stand-in's plans have no paths."""
    return context.snapshot.extension.generation == "current"


def _superfluous(context: Context, tview: Tview) -> Iterator[dict[str, Any]]:
    read = set(relations_read(context, tview.view_oid))
    read |= {oid for _, oid in tview.function_reads if oid}
    for table in tview.plan.get("tables", ()):
        relation = context.snapshot.by_oid.get(table["relid"])
        if relation and table["relid"] not in read and not _elsewhere(context, tview, table):
            yield {"plan": relation.qualified, "view": "does not read it"}


CHECK = Check(
    id="plan-disagrees",
    title="A plan disagrees with what its view reads",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "reads"),
    consequence_of=("view-mismatch", "table-mismatch", "changed-since", "registration-missing"),
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
