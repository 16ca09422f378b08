"""Triggers of a TVIEW are there but do not fire in ordinary sessions.

Meaning:
    ALTER TABLE … DISABLE TRIGGER (also ALL or USER), or ENABLE REPLICA TRIGGER, was said for triggers
    that keep a TVIEW up to date: on a base table, on a partition, or on the table of another TVIEW.

Impact:
    With row, delta or truncate triggers disabled, writes succeed and no longer reach the TVIEW.
    With the flush trigger alone disabled, writes in autocommit fail with SQLSTATE 55000, because what
    the other triggers queue is never applied. The copies of a row trigger on partitions can be
    disabled one by one, which the extension's own health check does not look at.

Diagnosis:
    pg_trigger.tgenabled of every trigger that the TVIEW's plan asks for, partitions' copies included.

Mitigation:
    Enable them by name and together, then refresh: enabling brings back none of the rows missed.
    Re-registering a TVIEW does not enable its triggers. Never ENABLE ALWAYS: a subscription's apply
    worker then fails or leaves rows stale. Where a lease of pgtv triggers disable is the cause, this
    is shown below it, and only pgtv triggers enable ends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgtv.catalog.model import Lease
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import expected_on
from pgtv.checks.leases import finding_id, held, severity
from pgtv.checks.trigger_faults import FIRES, Fault, event_effect, report
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot, wanted = context.snapshot, expected_on(context)
    off = {t.oid for t in snapshot.triggers if t.enabled in "DR"}
    leased = {oid: h.lease for oid, h in held(snapshot).items() if h.off}
    leases = {lease.id: lease for lease in leased.values()}
    faults: dict[int | None, list[Fault]] = {None: [], **{number: [] for number in leases}}
    for trigger in snapshot.triggers:
        if trigger.oid not in off or not trigger.kind or not trigger.entity:
            continue
        expected = wanted.get((trigger.relation, trigger.entity))
        if expected is None or trigger.kind not in {s.kind for s in expected.shapes}:
            continue
        lease = leased.get(trigger.oid)
        faults[lease.id if lease else None].append(
            Fault(
                expected.relation,
                trigger.kind,
                trigger.entity,
                expected=FIRES["O"],
                found=FIRES[trigger.enabled],
                # rows live in partitions, whose copies fire whatever the root's trigger does
                effect=Effect.RISK
                if trigger.kind == "row" and expected.relation.kind == "p"
                else event_effect(trigger.kind, expected.relation),
                # enabling the root's trigger enables its copies
                cure="none" if trigger.parent in off else "enable",
                trigger=trigger,
                tview=expected.tview,
            )
        )
    for number, group in faults.items():
        found = report(
            context, group, "does not fire in ordinary sessions", "do not fire in ordinary sessions"
        )
        yield from found if number is None else (_below(f, leases[number]) for f in found)


def _below(finding: Finding, lease: Lease) -> Finding:
    """A lease explains it, unless writes fail: nobody wanted that. Only the lease's command cures it."""
    own = finding.effect is Effect.WRITES_FAIL
    return replace(
        finding,
        id=f"{finding.id}:lease {lease.id}",
        severity=finding.severity if own else severity(lease),
        caused_by=None if own else finding_id(lease),
        remedy=Remedy(
            command="pgtv triggers enable --apply",
            note=f"Lease {lease.id} holds them: pgtv triggers enable ends it, and brings the rows."
            + (
                " Some of its triggers were enabled by hand; disabling the same TVIEWs again"
                " (pgtv triggers disable) disables those too, and lets writes through."
                if own
                else ""
            ),
        ),
    )


CHECK = Check(
    id="trigger-disabled",
    title="Triggers are disabled",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "triggers", "relations"),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_customer DISABLE TRIGGER USER;"
        " ALTER TABLE public.tb_customer ENABLE TRIGGER USER;",
        break_="ALTER TABLE public.tb_customer DISABLE TRIGGER USER;"
        " UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1;",
        object="public.tb_customer",
    ),
)
