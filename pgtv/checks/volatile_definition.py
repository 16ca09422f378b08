"""A definition gives other values each time it is evaluated, with nothing written.

Meaning:
    The definition calls a volatile function (random, gen_random_uuid…), depends on the session
    (current_user, current_setting…), samples a table, or reads system columns. The extension accepts
    that. Where a definition has no pk_ column, the extension itself adds a generated id.

Impact:
    Rows hold what one evaluation gave, and change when they are recomputed for another reason.
    Verification finds differences that no write caused.

Diagnosis:
    The definition text is parsed and its function calls are held against the volatile and
    session-dependent functions of PostgreSQL and pg_proc's own word on others. Views in between are
    looked at too.

Mitigation:
    Store such a value in the base table, where it is written once, and read it from there.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.definitions import definitions
from pgtv.definitions.varying import causes
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    read = definitions(context)
    for tview in snapshot.tviews:
        reasons: dict[str, str] = {}
        for oid in context.edges.upstream([tview.table_oid]):
            relation = snapshot.by_oid.get(oid)
            if oid != tview.table_oid and (relation is None or relation.kind != "v"):
                continue
            lineage = read.by_reader.get(oid)
            if lineage is not None and lineage.reads is not None:
                where = "" if oid == tview.table_oid else f" in {snapshot.name_of(oid)}"
                reasons |= {f"{what}{where}": why for what, why in causes(lineage.reads).items()}
        # 'now' is a constant in the view already: only the text shows it
        own = read.own(tview).reads
        for what, _ in own.frozen if own else ():
            reasons[what] = "fixed at the moment of creation"
        if reasons:
            listed = ", ".join(reasons)
            yield context.finding(
                tview.label,
                f"The definition of {tview.label} uses {listed}: its rows depend on when or by whom "
                "they were computed.",
                affects=context.affected(tview.table_oid),
                evidence=[{"uses": what, "which is": why} for what, why in reasons.items()],
                remedy=Remedy(
                    role=f"owner of {tview.label}",
                    note=f"Keep what {listed} gives in a column of the base table, written once, and "
                    "let the definition read that column.",
                ),
            )


CHECK = Check(
    id="volatile-definition",
    title="A definition's result depends on when it is evaluated",
    group="graph",
    severity=Severity.WARNING,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "reads"),
    provoke=Provoke(
        near_miss="SELECT tviews.pg_tviews_create('public.tv_lower',"
        " 'SELECT c.pk_category AS pk_lower, lower(c.name) AS name FROM public.tb_category c');",
        break_="SELECT tviews.pg_tviews_create('public.tv_lottery',"
        " 'SELECT c.pk_category AS pk_lottery, random() AS lot FROM public.tb_category c');",
        object="public.tv_lottery",
    ),
)
