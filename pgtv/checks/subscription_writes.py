"""A subscription writes tables that a TVIEW of this database reads.

Meaning:
    Logical replication applies its rows with session_replication_role = replica: ordinary triggers do
    not fire, those of TVIEWs neither.

Impact:
    What arrives never reaches the TVIEWs here. Their rows are wrong from the first replicated change on,
    silently.

Diagnosis:
    pg_subscription_rel against the tables that TVIEWs read.

Mitigation:
    Publish the publisher's tv_ tables instead and drop the TVIEWs here; or read TVIEWs on the
    publisher or on a physical standby; or refresh here on a schedule. Do not switch the triggers to
    ENABLE ALWAYS: the apply worker then fails again and again, or rows stay wrong all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for subscription in snapshot.subscriptions:
        written = [o for o in subscription.relations if context.edges.affected([o])]
        if not written:
            continue
        affects = context.affected(*written)
        bases = [o for o in written if o not in snapshot.tview_by_table]
        if not bases:
            continue
        rows = bring(context, context.edges.affected(written))
        yield context.finding(
            f"subscription {subscription.name}",
            "It writes "
            + ", ".join(snapshot.name_of(o) for o in bases)
            + " without firing triggers; what arrives never reaches the TVIEWs that read them.",
            severity=Severity.CRITICAL if subscription.enabled else Severity.WARNING,
            effect=Effect.ROWS_WRONG if subscription.enabled else Effect.RISK,
            affects=affects,
            evidence=[{"table": snapshot.name_of(o)} for o in bases],
            remedy=Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    *rows.sql,
                ),
                role="owners of the TVIEWs",
                locks=rows.locks,
                undo=None,
                note="Brings the rows up to date once; repeat it on a schedule, or replicate the "
                f"tv_ tables themselves. Never ENABLE ALWAYS. {rows.note}",
            ),
        )


CHECK = Check(
    id="subscription-writes",
    title="A subscription writes tables that TVIEWs read",
    group="activity",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("subscriptions", "relations", "reads"),
    provoke=Provoke(
        elsewhere="test/integration/checks/test_activity.py::test_a_subscription_that_writes_a_base_table"
    ),
)
