"""A TVIEW reads something whose changes nothing reports.

Meaning:
    No trigger sees a REFRESH MATERIALIZED VIEW, a foreign table's server, or a read that the
    extension cannot trace back to the TVIEW's key. Somebody declared that under the policy "warn":
    the TVIEW is allowed to go stale there.

Impact:
    Rows differ from the definition after such a change until the TVIEW is refreshed. That is as
    declared; whoever reads the TVIEW should know.

Diagnosis:
    From the declared policies and what the view reads.

Mitigation:
    Refresh the TVIEW after such a change, or declare the policy "full_refresh" where the extension
    can follow the change.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.graph.compare import base_reads

_WHY = {
    "m": "a materialized view: REFRESH replaces its rows without firing a trigger",
    "f": "a foreign table: its rows change on another server",
}


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for tview in snapshot.tviews:
        if tview.uncascaded_policy == "full_refresh":
            continue
        reads = base_reads(snapshot, tview.view_oid)
        untracked = set(tview.uncascaded)
        untracked |= {o for o in reads if o in snapshot.by_oid and snapshot.by_oid[o].kind in "mf"}
        for oid in sorted(untracked - _followed(tview.raw)):
            relation = snapshot.by_oid.get(oid)
            why = _WHY.get(relation.kind if relation else "", "its writes cannot be traced to rows")
            name, rows = snapshot.name_of(oid), bring(context, [tview])
            yield context.finding(
                tview.label,
                f"{tview.label} reads {name} ({why}): it stays as it is until it is refreshed.",
                key=name,
                affects=context.affected(tview.table_oid),
                evidence=[{"reads": name, "policy": tview.uncascaded_policy or "not recorded"}],
                remedy=Remedy(
                    role=f"owner of {tview.label}",
                    locks=rows.locks,
                    note=f"After each change of what is read: {rows.words} {rows.note}",
                ),
            )


def _followed(raw: dict[str, object]) -> set[int]:
    """OIDs of relations with a policy of their own that follows changes; names are not resolved."""
    tables, policies = raw.get("uncascaded_table_oids"), raw.get("uncascaded_table_policies")
    if not isinstance(tables, list) or not isinstance(policies, list):
        return set()
    return {
        int(t)
        for t, p in zip(tables, policies, strict=False)
        if p == "full_refresh" and str(t).isdigit()
    }


CHECK = Check(
    id="reads-untracked",
    title="A TVIEW reads what nothing tracks",
    group="graph",
    severity=Severity.INFO,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "reads"),
    provoke=Provoke(
        near_miss="CREATE MATERIALIZED VIEW public.mv_alone AS SELECT 1 AS one;",
        break_="CREATE MATERIALIZED VIEW public.mv_price AS"
        " SELECT pk_product, price FROM public.tb_product;"
        " SELECT tviews.pg_tviews_create('public.tv_priced',"
        " 'SELECT m.pk_product AS pk_priced, m.price FROM public.mv_price m',"
        """ '{"uncascaded_policy": "warn"}');""",
        object="public.tv_priced",
    ),
)
