"""A transaction has been running for long.

Meaning:
    One statement or one transaction lasts longer than this database's writes should: a report, a dump,
    a bulk change, a refresh of everything.

Impact:
    Vacuum cannot remove what died since it began; TVIEWs, which are updated often, grow. DDL and
    blocking refreshes on what it touched wait, and everybody else behind them. Where it locked a whole
    table that TVIEWs read, or a TVIEW, every write there waits for its end.

Diagnosis:
    pg_stat_activity: xact_start and backend_xmin.

Mitigation:
    Let it finish, or cancel it. Run reports on a standby.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.people import ENDS, WHO_ENDS, describe, ending
from pgtv.checks.resolving import age, shuts
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for session in context.snapshot.sessions:
        lasting = session.xact_seconds or 0.0
        if lasting < context.threshold("seconds") or session.application == "pg_dump":
            continue
        closed = shuts(context, pid=session.pid)
        back = f" and holds back {session.xmin_age:,} transactions." if session.xmin_age else "."
        yield context.finding(
            f"pid {session.pid}",
            f"A transaction of {session.user} has been open for {age(lasting)}{back} {closed}".rstrip(),
            effect=Effect.WRITES_FAIL if closed else Effect.RISK,
            evidence=[describe(session)],
            remedy=Remedy(
                sql=(ending(session),),
                role=WHO_ENDS,
                undo=None,
                decide=ENDS,
                note="Rolls its transaction back; look at what it is before you end it.",
            ),
        )


CHECK = Check(
    id="long-transaction",
    title="A transaction lasts long",
    group="activity",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("sessions",),
    extension=False,
    consequence_of=("idle-in-transaction", "lock-wait"),
    thresholds={"seconds": Threshold(3600, "s", "an hour, as for prepared transactions")},
    provoke=Provoke(elsewhere="test/integration/checks/test_activity.py::test_a_long_transaction"),
)
