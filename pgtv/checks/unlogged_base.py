"""A logged TVIEW reads an UNLOGGED table, which a crash empties.

Meaning:
    After a crash, or on a promoted standby, an UNLOGGED table is empty. No trigger fires for that, so
    a logged TVIEW that reads it keeps documents of rows that no longer exist.

Impact:
    None until the server crashes or a standby is promoted. Then rows are wrong for ever, and the
    extension's health check says OK: only UNLOGGED TVIEWs are filled again by themselves.

Diagnosis:
    relpersistence of the TVIEW's table and of every table that it reads, through views.

Mitigation:
    Make the base table LOGGED. It is rewritten into the WAL under ACCESS EXCLUSIVE. Or make the TVIEW
    UNLOGGED too, by its option `logged`; after a crash both are empty. After a crash: refresh.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for relation in snapshot.relations:
        if relation.persistence != "u" or relation.kind != "r":
            continue
        if relation.oid in snapshot.tview_by_table:
            continue  # an UNLOGGED TVIEW is filled again
        logged = [
            t
            for t in context.edges.affected([relation.oid])
            if (table := snapshot.by_oid.get(t.table_oid)) and table.persistence == "p"
        ]
        if not logged:
            continue
        names = ", ".join(t.label for t in logged)
        yield context.finding(
            relation.qualified,
            f"{relation.qualified} is UNLOGGED: a crash empties it, and {names} would keep the rows.",
            affects=context.affected(relation.oid),
            evidence=[{"table": relation.qualified, "relpersistence": relation.persistence}],
            remedy=Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    f"ALTER TABLE {relation.qualified} SET LOGGED;",
                ),
                role=f"the owner of {relation.qualified}",
                locks=(f"ACCESS EXCLUSIVE on {relation.qualified}",),
                undo=f"ALTER TABLE {relation.qualified} SET UNLOGGED;",
                note="Rewrites the table; readers and writers wait meanwhile. Tables that it refers"
                " to by foreign keys must be LOGGED first.",
            ),
        )


CHECK = Check(
    id="unlogged-base",
    title="A logged TVIEW reads an UNLOGGED table",
    group="storage",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations"),
    provoke=Provoke(
        near_miss="CREATE UNLOGGED TABLE public.scratch (id int);",
        break_='ALTER TABLE "Sales Dept".tb_order_line SET UNLOGGED;',
        object='"Sales Dept".tb_order_line',
    ),
)
