"""Triggers of a TVIEW fire even where replication writes.

Meaning:
    ALTER TABLE … ENABLE ALWAYS TRIGGER was said for triggers of a TVIEW. They then also fire in the
    apply worker of a subscription and under session_replication_role = replica.

Impact:
    An apply worker that runs them fails with SQLSTATE 55000 and restarts for ever, or leaves the
    TVIEW stale: it writes no statements, so nothing flushes what the row triggers queue. Critical where
    an enabled subscription writes the table; else ordinary sessions notice nothing.

Diagnosis:
    pg_trigger.tgenabled = A on a trigger that the TVIEW's plan asks for.

Mitigation:
    ENABLE TRIGGER puts it back to firing in ordinary sessions only. Rows that a subscription wrote
    meanwhile have to be verified, and refreshed where they differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import expected_on
from pgtv.checks.trigger_faults import FIRES, Fault, report
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    wanted = expected_on(context)
    always = {t.oid for t in context.snapshot.triggers if t.enabled == "A"}
    applied = {
        oid: subscription.name
        for subscription in context.snapshot.subscriptions
        if subscription.enabled
        for oid in subscription.relations
    }
    faults = [
        Fault(
            expected.relation,
            trigger.kind,
            trigger.entity,
            expected=FIRES["O"],
            found=f"{FIRES['A']}; subscription {applied[trigger.relation]} writes here, and fails"
            if trigger.relation in applied
            else FIRES["A"],
            effect=Effect.WRITES_FAIL if trigger.relation in applied else Effect.RISK,
            cure="none" if trigger.parent in always else "enable",
            trigger=trigger,
            tview=expected.tview,
        )
        for trigger in context.snapshot.triggers
        if trigger.oid in always and trigger.kind and trigger.entity
        if (expected := wanted.get((trigger.relation, trigger.entity)))
    ]
    yield from report(
        context,
        faults,
        "fires in replication too, where nothing flushes what it queues",
        "fire in replication too, where nothing flushes what they queue",
        advice="Verify the TVIEWs if a subscription wrote meanwhile: pgtv verify.",
    )


CHECK = Check(
    id="trigger-always",
    title="Triggers fire in replication",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "triggers", "relations"),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_customer"
        " ENABLE TRIGGER trg_tview_row_customer_on_public_tb_customer;",
        break_="ALTER TABLE public.tb_customer"
        " ENABLE ALWAYS TRIGGER trg_tview_row_customer_on_public_tb_customer;",
        object="public.tb_customer",
    ),
)
