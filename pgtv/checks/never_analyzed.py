"""The planner knows nothing about a TVIEW's table.

Meaning:
    The table holds rows and neither ANALYZE nor VACUUM has looked at it since it was created, refreshed
    or restored.

Impact:
    Queries on it, and the extension's own look-ups during a write, are planned on guesses.

Diagnosis:
    pg_class.reltuples = -1, which says exactly that, on a table above a few rows.

Mitigation:
    ANALYZE it; autovacuum does so within minutes where it is on.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.upkeep import remedy, tables
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    least = context.threshold("bytes")
    for tview, table, _ in tables(context):
        if table.reltuples >= 0 or (table.bytes or 0) < least:
            continue
        yield context.finding(
            table.qualified,
            f"{table.qualified} was never analyzed.",
            affects=(tview.label,),
            evidence=[{"table": table.qualified, "bytes": table.bytes, "analyzed": "never"}],
            remedy=remedy(table, f"ANALYZE {table.qualified};"),
        )


CHECK = Check(
    id="never-analyzed",
    title="A TVIEW was never analyzed",
    group="storage",
    severity=Severity.INFO,
    effect=Effect.NONE,
    run=run,
    needs=("tviews", "relations"),
    where="primary",
    thresholds={
        "bytes": Threshold(128 * 1024, "bytes", "16 pages: smaller tables plan well anyway")
    },
    provoke=Provoke(
        near_miss="CREATE TABLE public.tv_small AS SELECT c.pk_category AS pk_small,"
        " jsonb_build_object('n', c.name) AS data FROM public.tb_category c;",
        break_="SET ROLE shop_owner; CREATE TABLE public.tv_large AS SELECT l.pk_order_line AS pk_large,"
        " jsonb_build_object('q', l.quantity, 'pad', repeat('x', 99)) AS data"
        ' FROM "Sales Dept".tb_order_line l;',
        object="public.tv_large",
    ),
)
