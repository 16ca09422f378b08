"""A trigger that a TVIEW needs on a table that it reads is not there.

Meaning:
    Each table that a TVIEW reads carries triggers that depend on how the table is read: row, flush
    and truncate triggers for tables that hold the TVIEW's key, transition-table (delta) triggers for
    tables from which keys are mapped. At least one of them does not exist.

Impact:
    Writes of the kind that the trigger would have seen no longer reach the TVIEW or those that embed
    it. They succeed and the rows stay as they were, silently. Without a flush trigger, writes in
    autocommit fail with SQLSTATE 55000.

Diagnosis:
    Expected triggers are derived from the TVIEW's plan and compared with pg_trigger by function,
    argument and type; names are not looked at, because renames leave them stale.

Mitigation:
    Re-register the TVIEW: the extension creates what is missing and leaves rows alone. Rows missed
    since the trigger went have to be repaired afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import missing_triggers
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for missing in missing_triggers(context):
        tview, relation = missing.tview, missing.relation
        kinds = sorted({s.kind for s in missing.shapes})
        affects = context.affected(tview.table_oid)
        yield context.finding(
            relation.qualified,
            f"Writes to {relation.qualified} no longer reach {tview.label}: "
            f"no {' and '.join(kinds)} trigger.",
            key=tview.entity,
            effect=Effect.WRITES_FAIL if kinds == ["flush"] else Effect.ROWS_WRONG,
            title=f"{relation.qualified} lacks {' and '.join(kinds)} triggers for {tview.label}",
            affects=affects,
            evidence=[
                {"expected": s.kind, "argument": tview.entity, "tgtype": s.type, "found": "none"}
                for s in missing.shapes
            ],
            remedy=Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    context.dialect.reregister(tview.label),
                    *(context.dialect.refresh(a) for a in affects[:1]),
                ),
                role=f"owner of {tview.label}",
                locks=(
                    f"SHARE ROW EXCLUSIVE on {relation.qualified}",
                    f"ACCESS EXCLUSIVE on {', '.join(affects)} (the refresh)",
                ),
                undo=None,
                note="Re-registering leaves rows as they are; the refresh, which blocks readers, "
                "brings the rows missed meanwhile.",
            ),
        )


CHECK = Check(
    id="trigger-missing",
    title="Triggers are missing",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "triggers", "relations"),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_customer RENAME TO tb_client;"
        " ALTER TABLE public.tb_client RENAME TO tb_customer;",
        break_="DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;",
        object="public.tb_customer",
    ),
)
