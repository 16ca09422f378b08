"""Triggers of TVIEWs are disabled on purpose and for a time, or rows are owed since.

Meaning:
    Somebody said pgtv triggers disable, with a reason and a time after which the triggers are to be
    enabled again. This finding counts it down. It also says when the triggers fire again and the rows
    that were missed meanwhile were never brought up to date, because that run ended early.

Impact:
    Writes succeed and do not reach these TVIEWs, nor those that read them: readers are served what
    was true when the triggers were disabled. Until then that is what somebody wanted, a warning;
    afterwards, and where rows are owed, it is critical.

Diagnosis:
    The lease in the schema pgtv, with the states that its triggers had before. pgtv triggers status
    lists them table by table.

Mitigation:
    pgtv triggers enable gives every trigger its state of before and brings the rows that were missed;
    only that ends a lease. Disabling the same TVIEWs again extends it. A timer may run
    pgtv triggers enable --expired --apply.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.model import Lease
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.leases import labels, moment, remaining, severity
from pgtv.finding import Effect, Finding, Remedy, Severity

ENABLE = "pgtv triggers enable --apply"


def run(context: Context) -> Iterator[Finding]:
    for lease in context.snapshot.leases:
        if lease.triggers:
            yield _running(context, lease)
        if lease.owed:
            yield _owed(context, lease)


def _running(context: Context, lease: Lease) -> Finding:
    tables = {t.relation for t in lease.triggers}
    many = "1 trigger" if len(lease.triggers) == 1 else f"{len(lease.triggers)} triggers"
    where = "1 table" if len(tables) == 1 else f"{len(tables)} tables"
    overdue = lease.remaining_seconds < 0
    tviews = [
        t
        for e in lease.entities
        if (t := context.snapshot.tview_by_entity.get(e))
        and e in {x.entity for x in lease.triggers}
    ]
    return context.finding(
        f"lease {lease.id}",
        f"{lease.taken_by} disabled {many} on {where}: {lease.reason}. {_time(lease)}"
        " Writes do not reach the TVIEWs meanwhile.",
        severity=severity(lease),
        title="Triggers are still disabled after their time"
        if overdue
        else f"Triggers are disabled for a time: {remaining(lease)}",
        affects=context.affected(*(t.table_oid for t in tviews)),
        evidence=_evidence(context, lease),
        remedy=Remedy(
            command=ENABLE,
            role="the owner of the tables, or a superuser",
            note="Only pgtv triggers enable ends a lease: it gives every trigger the state that it had,"
            " then brings the rows missed meanwhile, beside readers and writers."
            + ("" if overdue else " Disabling the same TVIEWs again extends it."),
        ),
    )


def _time(lease: Lease) -> str:
    text = remaining(lease)
    return f"{text[0].upper()}{text[1:]} (until {moment(lease.until)})."


def _evidence(context: Context, lease: Lease) -> list[dict[str, str]]:
    """A row for each table and TVIEW."""
    rows: dict[tuple[str, str], list[str]] = {}
    for t in lease.triggers:
        rows.setdefault((t.relation_name, t.entity), []).append(t.enabled)
    return [
        {
            "on": table,
            "TVIEW": context.snapshot.tview_by_entity[entity].label
            if entity in context.snapshot.tview_by_entity
            else entity,
            "triggers": str(len(states)),
            "before": "".join(sorted(set(states))),
        }
        for (table, entity), states in rows.items()
    ]


def _owed(context: Context, lease: Lease) -> Finding:
    names = labels(context.snapshot, lease.owed)
    since = f" since {moment(lease.enabled_at)}" if lease.enabled_at else ""
    return context.finding(
        f"lease {lease.id}",
        f"{'Some triggers' if lease.triggers else 'Triggers'} of lease {lease.id} ({lease.reason}) fire"
        f" again{since}; the rows missed while they were disabled were not brought up to date:"
        f" {', '.join(names)}.",
        key="rows",
        severity=Severity.CRITICAL,
        title="Rows missed while triggers were disabled are owed",
        affects=names,
        evidence=[{"TVIEW": name} for name in names],
        remedy=Remedy(
            command=ENABLE,
            role="the TVIEWs' owner, or a superuser",
            note="pgtv triggers enable brings the rows, beside readers and writers, and ends the lease.",
        ),
    )


CHECK = Check(
    id="trigger-lease",
    title="Triggers are disabled on purpose, for a time",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "leases"),
    provoke=Provoke(elsewhere="test/integration/test_triggers.py::test_doctor_counts_a_lease_down"),
)
