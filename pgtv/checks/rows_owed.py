"""A run of pgtv that was to bring the rows of a TVIEW did not come to its end.

Meaning:
    pgtv repair notes on the backing view that rows are owed before it enables a trigger or registers
    a TVIEW, and takes the note away once they are right; pgtv 2pc does the same around COMMIT PREPARED
    and ROLLBACK PREPARED, and whatever merges rows (pgtv refresh too) from before its first batch. The
    note is still there: the run was stopped, killed or told to cure triggers alone, or its rows, or
    those of what embeds them, could not be brought or were left out (--exclude).

Impact:
    New writes arrive. What was written while nothing told the TVIEW of it, and what a crash took from an
    UNLOGGED one before its transaction was committed, is still missing, in it and in what embeds it;
    after a merge that was cut off, what embeds it holds what was there before. Nothing else in any
    catalog says so.

Diagnosis:
    The comment of the backing view has the line "pgtv: rows are owed".

Mitigation:
    pgtv repair brings the rows beside readers and writers and takes the note away. While another
    pgtv is repairing, refreshing or ending prepared transactions, wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.rows.owing import NOTE, forget, is_owed


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        view = context.snapshot.by_oid.get(tview.view_oid)
        if view is None or not is_owed(view.comment):
            continue
        affects, rows = context.affected(tview.table_oid), bring(context, [tview])
        yield context.finding(
            tview.label,
            f"A run of pgtv began to bring rows of {tview.label}, or ended what kept them from it, and did "
            "not come to its end.",
            affects=affects,
            evidence=[{"backing view": view.qualified, "comment": NOTE}],
            remedy=Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    *rows.sql,
                    forget(view.qualified, view.comment),
                ),
                command="pgtv repair --apply",
                role=f"the owner of {tview.label}, or a superuser",
                locks=rows.locks,
                note=f"{rows.note} pgtv repair brings the rows beside readers and writers.",
            ),
        )


CHECK = Check(
    id="rows-owed",
    title="Rows are owed by a run of pgtv that did not end",
    group="contents",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations"),
    generations=("current", "lab"),
    provoke=Provoke(
        near_miss="COMMENT ON VIEW tviews.public__tv_customer IS 'rows are owed to nobody';",
        break_="COMMENT ON VIEW tviews.public__tv_customer IS E'mine\\npgtv: rows are owed';",
        object="public.tv_customer",
    ),
)
