"""TVIEWs read themselves, through each other or through views in between.

Meaning:
    Following what definitions read, one comes back to where one started. The extension refuses such
    a TVIEW when it is created, but not when the way leads through a materialized view, nor when a
    helper view is replaced later.

Impact:
    No order of refreshing is right any more. Writes succeed, and rows keep what one of the TVIEWs
    said earlier; each refresh may give another result. Re-registering, which upgrades and restores
    need, fails with SQLSTATE 42P17.

Diagnosis:
    The graph of pg_depend, the plans and declared function reads is searched for strongly connected
    components, materialized views included. The path shown is the shortest way round; the cut is
    the smallest set of reads without which nothing reads itself (`pgtv graph cycles`).

Mitigation:
    Take one of the reads named as the cut out of the definition that holds it: CREATE OR REPLACE
    VIEW for a helper view, a replaced definition for a TVIEW, DROP and CREATE for a materialized
    view. Then re-register and refresh the TVIEWs of the component.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.graph.cycles import Cycle, describe, find_cycles, tviews_in


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for cycle in find_cycles(snapshot, context.edges):
        members = tviews_in(cycle, snapshot)
        if not members:
            continue  # views that read each other through nothing of ours
        short, full = describe(cycle, snapshot), describe(cycle, snapshot, helpers=True)
        first = members[0].label
        cuts = [f"{snapshot.name_of(a)} must not read {snapshot.name_of(b)}" for a, b in cycle.cut]
        yield context.finding(
            first,
            f"Circular dependency detected: {short}. No order of refreshing is right: writes "
            "succeed and rows keep old contents; re-registering fails with 42P17.",
            title=f"Circular dependency detected: {short}",
            affects=context.affected(*(t.table_oid for t in members)),
            evidence=[
                {"reads": full},
                {"members": ", ".join(snapshot.name_of(o) for o in cycle.members)},
                {"cut": "; ".join(cuts), "smallest": "proven" if cycle.exact else "approximate"},
            ],
            remedy=Remedy(
                command="pgtv graph cycles",
                role=_owners(context, cycle),
                note="Redefine so that "
                + "; ".join(cuts)
                + ". Then: "
                + " ".join(
                    (
                        *(context.dialect.reregister(t.label) for t in members),
                        *(bring(context, [t]).words for t in members),
                    )
                ),
            ),
        )


def _owners(context: Context, cycle: Cycle) -> str:
    by_oid = context.snapshot.by_oid
    owners = sorted({by_oid[a].owner for a, _ in cycle.cut if a in by_oid})
    return "owner of what is redefined" + (f": {', '.join(owners)}" if owners else "")


CHECK = Check(
    id="cycle",
    title="Circular dependency detected",
    group="graph",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "reads"),
    provoke=Provoke(
        near_miss="CREATE OR REPLACE VIEW public.v_open_order AS"
        ' SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o'
        " JOIN public.tv_customer c ON c.pk_customer = o.fk_customer;",
        break_="CREATE OR REPLACE VIEW public.v_open_order AS"
        ' SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o'
        " JOIN public.tv_basket b ON b.pk_basket = o.fk_customer;",
        object="public.tv_basket",
    ),
)
