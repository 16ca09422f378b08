"""Much of a TVIEW's table is dead rows.

Meaning:
    Each refresh of a row leaves the old version behind until a vacuum. More than the threshold of the
    table's rows are such versions.

Impact:
    Reads and propagated writes go through more pages. A vacuum that cannot clean (a prepared
    transaction, a replication slot, a long transaction) makes it grow without end.

Diagnosis:
    n_dead_tup and n_live_tup of pg_stat_all_tables: estimates since the statistics were reset.

Mitigation:
    Vacuum it. Where autovacuum comes too late for a busy TVIEW, lower its autovacuum_vacuum_scale_factor.
    Where dead rows stay after a vacuum, look for what holds it back: prepared transactions, slots and
    long sessions have checks of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.upkeep import remedy, tables
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    limit, least = context.threshold("dead_ratio"), context.threshold("dead_rows")
    for tview, table, stats in tables(context):
        rows = stats.live + stats.dead
        if stats.dead < least or stats.dead <= limit * rows:
            continue
        yield context.finding(
            table.qualified,
            f"{stats.dead / rows:.0%} of the rows of {table.qualified} are dead ({stats.dead:,} of "
            f"{rows:,}).",
            affects=(tview.label,),
            evidence=[
                {
                    "live": stats.live,
                    "dead": stats.dead,
                    "last vacuum": stats.last_vacuum or "never",
                }
            ],
            remedy=remedy(
                table,
                f"VACUUM (ANALYZE) {table.qualified};",
                note="Readers and writers go on. It frees room for new rows, not for other tables.",
            ),
        )


CHECK = Check(
    id="bloat",
    title="Many dead rows",
    group="storage",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "table_stats"),
    where="primary",
    thresholds={
        "dead_ratio": Threshold(0.20, "share of all rows", "autovacuum's own default scale factor"),
        "dead_rows": Threshold(
            10_000,
            "rows",
            "what one statement leaves in a small table autovacuum clears in a minute",
        ),
    },
    provoke=Provoke(
        near_miss='ALTER TABLE "Sales Dept".tv_order_line SET (autovacuum_enabled = off);'
        ' UPDATE "Sales Dept".tb_order_line SET quantity = quantity + 1;'
        " SELECT pg_stat_force_next_flush();",
        break_="DO $$ BEGIN FOR i IN 1..11 LOOP"
        ' UPDATE "Sales Dept".tb_order_line SET quantity = quantity + 1; END LOOP; END $$;'
        " SELECT pg_stat_force_next_flush();",
        object='"Sales Dept".tv_order_line',
    ),
)
