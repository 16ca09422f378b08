"""Names in a TVIEW's registration no longer name what it reads: a restore would fail.

Meaning:
    A relation that a TVIEW reads was renamed or moved to another schema. PostgreSQL and the triggers
    follow it by OID, so rows stay right; the plan and the stored definition keep the old name.

Impact:
    pg_dump writes the plan as it stands. At restore the copy of the catalog fails with SQLSTATE 42P01
    (`the plan of TVIEW … names tables that do not exist`) and **every** registration of the database
    is lost, not this one only. The stored definition cannot be run again either.

Diagnosis:
    The names in the plan are compared with those that its OIDs have now; the relations that the
    stored definition names with those that the backing view reads.

Mitigation:
    Re-registering renews the plan but keeps the text of the definition, so the backing view's own
    query is stored first. Its layout is then PostgreSQL's; to keep the author's, pass the corrected
    text to create_or_replace instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Relation, Tview
from pgtv.checks.bindings import GENERATIONS, PINNED, relations_read, reregister
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.stored import disagreement
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        view = context.snapshot.by_oid.get(tview.view_oid)
        if not view or view.kind != "v":
            continue
        plan, text = list(_plan(context, tview)), disagreement(context, tview)
        renamed = text.renamed if text else ()
        if not plan and not renamed:
            continue
        yield context.finding(
            tview.label,
            f"What {tview.label} reads was renamed or moved. Rows stay right, but "
            + (
                "a dump taken now does not restore: its copy of the catalog fails and every "
                "registration of the database is lost."
                if plan
                else "the stored definition names what is no longer there."
            ),
            affects=(tview.label,),
            evidence=[*plan, *({"definition": old, "reads now": new} for old, new in renamed)],
            remedy=_remedy(context, tview, view, rewrite=bool(renamed)),
        )


def _plan(context: Context, tview: Tview) -> Iterator[dict[str, Any]]:
    if tview.plan_error or not isinstance(tview.plan, dict):
        return
    read = relations_read(context, tview.view_oid)
    read |= {oid: True for _, oid in tview.function_reads if oid}
    for table in tview.plan.get("tables", ()):
        relation = context.snapshot.by_oid.get(table["relid"])
        if relation and relation.qualified != table["table"] and relation.oid in read:
            yield {"plan": table["table"], "is now": relation.qualified}


def _remedy(context: Context, tview: Tview, view: Relation, *, rewrite: bool) -> Any:
    first = (
        (
            PINNED,
            registering.definition_of_view(
                context.dialect, context.extschema, tview.entity, view.qualified
            ),
        )
        if rewrite
        else ()
    )
    return reregister(
        context,
        tview,
        *first,
        refresh=False,
        note="The definition gets PostgreSQL's layout; rows stay as they are." if rewrite else "",
    )


CHECK = Check(
    id="names-stale",
    title="Names in a registration are stale: a restore would fail",
    group="metadata",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "reads"),
    consequence_of=("view-mismatch", "table-mismatch"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_customer RENAME COLUMN email TO mail;"
        " ALTER TABLE public.tb_stock_move_2025 RENAME TO tb_stock_move_old;",
        break_="ALTER TABLE public.tb_customer RENAME TO tb_client;"
        " CREATE SCHEMA archive; ALTER VIEW public.v_open_order SET SCHEMA archive;",
        object="public.tv_basket",
    ),
)
