"""The queue of NOTIFY fills up.

Meaning:
    A session that listens stays in a transaction, so that nothing behind it can be removed. TVIEWs
    notify on a channel when publishing of changes is on.

Impact:
    When it is full, every transaction that notifies fails at COMMIT with 53400 (54000 before
    PostgreSQL 17): writes to the tables of publishing TVIEWs among them.

Diagnosis:
    pg_notification_queue_usage().

Mitigation:
    Find the listener that is idle in transaction and end its session.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, NotApplicable, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    usage = context.snapshot.server.notify_queue_usage
    if usage is None:
        raise NotApplicable("a standby has no queue")
    severity = context.level(usage)
    if severity is None:
        return
    yield context.finding(
        "(server)",
        f"The NOTIFY queue is {usage:.0%} full; when it is full, COMMIT of whoever notifies fails.",
        severity=severity,
        evidence=[{"pg_notification_queue_usage": usage}],
        remedy=Remedy(
            sql=(
                "SELECT pid, usename, application_name, state, xact_start FROM pg_stat_activity"
                " WHERE state LIKE 'idle in transaction%' ORDER BY xact_start LIMIT 5;",
            ),
            role="pg_monitor",
            note="The oldest that listens is the one: SELECT pg_terminate_backend(its pid).",
        ),
    )


CHECK = Check(
    id="notify-queue",
    title="The NOTIFY queue fills up",
    group="activity",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("server",),
    where="primary",
    extension=False,
    thresholds={
        "warning": Threshold(0.5, "of the queue", "PostgreSQL itself warns in the log from a half"),
        "critical": Threshold(0.8, "of the queue", "leaves time before COMMITs fail"),
    },
    provoke=Provoke(
        elsewhere="test/unit/checks/test_activity.py::test_thresholds_of_the_notify_queue"
    ),
)
