"""Names in a TVIEW's registration no longer name what it reads: a restore would fail.

Meaning:
    A relation that a TVIEW reads was renamed or moved to another schema. PostgreSQL and the triggers
    follow it by OID, so rows stay right; the plan and the stored definition keep the old name.

Impact:
    pg_dump writes the plan as it stands. At restore the copy of the catalog fails with SQLSTATE 42P01
    (`the plan of TVIEW … names tables that do not exist`) and **every** registration of the database
    is lost, not this one only. The stored definition cannot be run again either. Where two tables that it
    reads swapped names the restore succeeds, takes one for the other, and rows go stale there.

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

from pgtv.catalog.model import Relation, Tview
from pgtv.checks.bindings import GENERATIONS, relations_read, reregister, store_the_views
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
        read = _read(context, tview)
        there = {r.qualified: r.oid for r in context.snapshot.relations}
        taken = [e["plan"] for e in plan if e["plan"] in there and there[e["plan"]] not in read]
        # another table that it reads has the name: no writes are missed, but the text means that one now
        swapped = [e["plan"] for e in plan if there.get(e["plan"]) in read]
        yield context.finding(
            tview.label,
            f"What {tview.label} reads was renamed or moved. "
            + (
                f"Another relation is now called {', '.join(taken)}: writes to that one never reach "
                f"{tview.label}, which goes on reading the old one. Besides, "
                if taken
                else "Rows stay right, but "
            )
            + _dumped([e["plan"] for e in plan], there, fails=bool(taken)),
            severity=Severity.CRITICAL if taken else Severity.WARNING,
            effect=Effect.ROWS_WRONG if taken else Effect.RISK,
            affects=(tview.label,),
            evidence=[*plan, *({"definition": old, "reads now": new} for old, new in renamed)],
            remedy=_remedy(context, tview, view, rewrite=bool(renamed or swapped)),
        )


def _dumped(names: list[str], there: dict[str, int], *, fails: bool) -> str:
    """What becomes of a dump with these names in a plan."""
    if not names:
        return "the stored definition names what is no longer there."
    if fails or not there.keys() >= set(names):
        return (
            "a dump taken now does not restore: its copy of the catalog fails and every registration "
            "of the database is lost."
        )
    return (
        f"a dump taken now restores with {', '.join(names)} taken for one another: there, writes to "
        "them do not reach it, silently."
    )


def _plan(context: Context, tview: Tview) -> Iterator[dict[str, Any]]:
    if tview.plan_error or not isinstance(tview.plan, dict):
        return
    read = _read(context, tview)
    for table in tview.plan.get("tables", ()):
        relation = context.snapshot.by_oid.get(table["relid"])
        if relation and relation.qualified != table["table"] and relation.oid in read:
            yield {"plan": table["table"], "is now": relation.qualified}


def _read(context: Context, tview: Tview) -> set[int]:
    return {*relations_read(context, tview.view_oid), *(o for _, o in tview.function_reads if o)}


def _remedy(context: Context, tview: Tview, view: Relation, *, rewrite: bool) -> Any:
    if not rewrite:
        return reregister(context, tview, refresh=False)
    return store_the_views(
        context, tview, view, "The definition gets PostgreSQL's layout; rows stay as they are."
    )


CHECK = Check(
    id="names-stale",
    title="Names in a registration are stale: a restore would fail",
    group="metadata",
    severity=Severity.CRITICAL,
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
