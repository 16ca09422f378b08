"""What a TVIEW reads is told differently by its definition, its view and its plan.

Meaning:
    Three sources say what a TVIEW reads: the text of its definition, pg_depend for its backing view
    and the helper views below, and the plan by which the extension maps writes to rows. They agree
    when the TVIEW is registered. A helper view replaced since, or an edited catalog, drives them
    apart.

Impact:
    What the view reads and the plan does not know is not watched: writes to it never reach the
    TVIEW, silently. What only the plan knows costs triggers for nothing. A definition that differs
    from the backing view is what a restore or a replacement would bring back.

Diagnosis:
    Reads are compared by OID, columns by number, so renaming is no difference. What a definition
    mentions without its rows depending on it (a CTE never read) is in no plan, rightly.

Mitigation:
    Re-register the TVIEW: plan, identity and triggers are derived anew; rows stay as they are. Then
    refresh it for what was missed. A definition that differs from the view has to be replaced by the
    one that is meant.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Tview
from pgtv.checks.bindings import VIEW_IS_RIGHT, reregister, store_the_views
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.definitions import definitions
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.graph.compare import Difference, differences

_SAYS = {
    "unplanned": "reads {name}, which its plan does not know: writes there never reach it",
    "unplanned-column": "reads {name}.{column}, which its plan does not know: updates of that "
    "column alone never reach it",
    "planned": "reads {name} no more; its plan still does",
    "defined": "names {name} in its definition; its backing view does not read it",
    "undefined": "reads {name} by its backing view; its definition does not name it",
}
_WRONG = ("unplanned", "unplanned-column")


def run(context: Context) -> Iterator[Finding]:
    found: dict[str, list[Difference]] = {}
    for difference in differences(context.snapshot, definitions(context)):
        found.setdefault(difference.tview.entity, []).append(difference)
    for entity, several in found.items():
        tview = several[0].tview
        wrong = [d for d in several if d.kind in _WRONG]
        lead = (wrong or several)[0]
        text_only = all(d.kind in ("defined", "undefined") for d in several)
        affects = context.affected(tview.table_oid)
        yield context.finding(
            tview.label,
            f"{tview.label} " + _SAYS[lead.kind].format(name=lead.name, column=lead.column) + ".",
            key=entity,
            severity=Severity.CRITICAL if wrong else Severity.WARNING,
            effect=Effect.ROWS_WRONG if wrong else Effect.RISK,
            affects=affects,
            evidence=[
                {"relation": d.name + (f".{d.column}" if d.column else ""), "difference": d.kind}
                for d in several
            ],
            remedy=_stored(context, tview)
            if text_only
            else _redeclare(tview, several) or _remedy(context, tview, several, bool(wrong)),
        )


def _stored(context: Context, tview: Tview) -> Remedy:
    """The rows follow the view: its query becomes the definition, unless the text is what is meant."""
    view = context.snapshot.by_oid.get(tview.view_oid)
    note = "If the text of the definition is what is meant, pass it to create_or_replace instead."
    if view is None or view.kind != "v":
        return Remedy(note=note)
    return store_the_views(context, tview, view, f"{VIEW_IS_RIGHT} {note}")


def _redeclare(tview: Tview, several: list[Difference]) -> Remedy | None:
    """Where the row lost what a function reads: the plan still tells, re-registering is refused."""
    told = registering.function_reads(tview.plan)
    tables = {t for listed in told.values() for t in listed}
    if any(d.kind != "planned" for d in several) or not {d.name for d in several} & tables:
        return None
    options = {k: v for k, v in tview.options.items() if v is not None}
    options["function_reads"] = told
    return Remedy(
        sql=(
            "SET lock_timeout = '2s';",
            registering.replace(tview.label, tview.definition, options),
        ),
        role=f"owner of {tview.label}",
        note="The registration has lost what its functions read, so the extension refuses to "
        "re-register it. The plan still tells: this declares it again; rows stay as they are.",
    )


def _remedy(context: Context, tview: Tview, several: list[Difference], wrong: bool) -> Remedy:
    return reregister(
        context,
        tview,
        refresh=wrong,
        note="Re-registering leaves rows as they are"
        + ("; the refresh brings what was missed." if wrong else "."),
        locks=[lock for d in several for lock in _triggers(context, tview, d)],
    )


def _triggers(context: Context, tview: Tview, difference: Difference) -> Iterator[str]:
    """What re-registering locks to create and drop triggers, with a partitioned table its partitions."""
    snapshot, oid = context.snapshot, difference.relation
    there = bool(snapshot.triggers_for.get((oid or 0, tview.entity)))
    wanted = {"unplanned": "SHARE ROW EXCLUSIVE", "planned": "ACCESS EXCLUSIVE"}
    mode = wanted.get(difference.kind)
    if mode is None or there is not (difference.kind == "planned"):
        return
    for relation in snapshot.relations:
        if relation.kind not in "rp" or relation.oid in snapshot.tview_by_table:
            continue
        if oid in (relation.oid, relation.partition_root):
            yield f"{mode} on {relation.qualified}"


CHECK = Check(
    id="reads-disagree",
    title="Definition, view and plan disagree on what is read",
    group="graph",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "reads"),
    generations=("current",),
    consequence_of=(
        "cycle",
        "table-mismatch",
        "view-mismatch",
        "registration-missing",
        "plan-unreadable",
        "definition-disagrees",
        "names-stale",
    ),
    provoke=Provoke(
        near_miss="CREATE OR REPLACE VIEW public.v_open_order AS"
        ' SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o'
        " WHERE o.status IN ('open', 'paid');"
        " ALTER TABLE public.tb_customer RENAME COLUMN name TO full_name;",
        break_="CREATE OR REPLACE VIEW public.v_open_order AS"
        ' SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o'
        ' WHERE EXISTS (SELECT 1 FROM "Sales Dept".tb_order_line l WHERE l.fk_order = o.pk_order);',
        object="public.tv_basket",
    ),
)
