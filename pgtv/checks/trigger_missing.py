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
from pgtv.checks.trigger_faults import Fault, event_effect, report, timing
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    faults = [
        Fault(
            missing.relation,
            shape.kind,
            missing.tview.entity,
            expected=timing(shape.type),
            found="none",
            effect=event_effect(shape.kind, missing.relation),
            cure="reregister",
            tview=missing.tview,
        )
        for missing in missing_triggers(context)
        for shape in missing.shapes
    ]
    yield from report(context, faults, "is missing", "are missing")


CHECK = Check(
    id="trigger-missing",
    title="Triggers are missing",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "triggers", "relations"),
    consequence_of=(
        "registration-missing",
        "entity-duplicate",
        "table-mismatch",
        "catalog-objects-missing",
    ),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_customer RENAME TO tb_client;"
        " ALTER TABLE public.tb_client RENAME TO tb_customer;",
        break_="DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;",
        object="public.tb_customer",
    ),
)
