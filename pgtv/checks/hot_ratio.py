"""Most updates of a TVIEW's table are not HOT.

Meaning:
    An update is heap-only (HOT) when no indexed column changes and the page has room. Fewer than the
    threshold of the updates of this table were.

Impact:
    Every other update writes into every index of the table: slower writes, more WAL, more bloat.

Diagnosis:
    n_tup_hot_upd / n_tup_upd since the statistics were reset, where there were enough updates in all
    and for each row, and the table's fillfactor.

Mitigation:
    Leave room in the pages with a lower fillfactor (it counts for pages written from now on; a refresh
    rewrites them all), and drop indexes on columns that change with every write.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.upkeep import remedy, tables
from pgtv.finding import Effect, Finding, Severity

_ROOMY = 70  # per cent; lower gains little


def run(context: Context) -> Iterator[Finding]:
    limit, least = context.threshold("hot_ratio"), context.threshold("updates")
    each = context.threshold("updates_per_row")
    for tview, table, stats in tables(context):
        if stats.updates < max(least, each * max(stats.live, table.reltuples)):
            continue
        ratio = stats.hot_updates / stats.updates
        options = dict(o.partition("=")[::2] for o in table.options)
        fillfactor = int(options.get("fillfactor", "100"))
        if ratio >= limit or fillfactor <= _ROOMY:
            continue
        yield context.finding(
            table.qualified,
            f"{ratio:.0%} of {stats.updates:,} updates of {table.qualified} were heap-only; its "
            f"fillfactor is {fillfactor}.",
            affects=(tview.label,),
            evidence=[
                {"updates": stats.updates, "hot": stats.hot_updates, "fillfactor": fillfactor}
            ],
            remedy=remedy(
                table,
                f"ALTER TABLE {table.qualified} SET (fillfactor = {_ROOMY});",
                undo=f"ALTER TABLE {table.qualified} "
                + (
                    f"SET (fillfactor = {fillfactor});"
                    if "fillfactor" in options
                    else "RESET (fillfactor);"
                ),
                note="Say the same in the TVIEW's options where its definition is kept: a replace "
                "puts options that are left out back to their defaults.",
            ),
        )


CHECK = Check(
    id="hot-ratio",
    title="Few heap-only updates",
    group="storage",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "table_stats", "relations"),
    where="primary",
    thresholds={
        "hot_ratio": Threshold(0.5, "share of updates", "below it index writes dominate"),
        "updates": Threshold(10_000, "updates", "fewer cost nothing that anybody notices"),
        "updates_per_row": Threshold(
            10, "updates a row", "fewer can be a statement or two over the whole table"
        ),
    },
    provoke=Provoke(
        near_miss='UPDATE "Sales Dept".tb_order_line SET quantity = quantity + 1;'
        " SELECT pg_stat_force_next_flush();",
        break_="DO $$ BEGIN FOR i IN 1..11 LOOP"
        ' UPDATE "Sales Dept".tb_order_line SET quantity = quantity + 1; END LOOP; END $$;'
        " SELECT pg_stat_force_next_flush();",
        object='"Sales Dept".tv_order_line',
    ),
)
