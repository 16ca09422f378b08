"""A session sits idle in a transaction and holds locks on a TVIEW's tables.

Meaning:
    BEGIN, a write, and then silence: a client that waits for its user, a debugger, a pooled
    connection given back without COMMIT, or a peer that the network cut off.

Impact:
    Rows that it wrote cannot be written by others, refreshes of the TVIEWs wait, and vacuum is held
    back. If the client is gone, this lasts until TCP keepalive notices. Where it locked a whole table
    (LOCK TABLE, DDL, a blocking refresh), every write to that table waits: critical.

Diagnosis:
    pg_stat_activity: state `idle in transaction` longer than the threshold, with locks on relations
    that TVIEWs read.

Mitigation:
    pg_terminate_backend rolls it back. idle_in_transaction_session_timeout prevents the next.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.people import ENDS, WHO_ENDS, describe, ending
from pgtv.checks.resolving import age, shuts
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for session in snapshot.sessions:
        idle = session.state_seconds or 0.0
        if not (session.state or "").startswith("idle in transaction"):
            continue
        held = sorted(
            {
                lock.relation
                for lock in snapshot.locks
                if lock.pid == session.pid
                and lock.granted
                and lock.relation in snapshot.by_oid
                and snapshot.by_oid[lock.relation].kind in "rp"
                and not lock.advisory
            }
        )
        if idle < context.threshold("seconds") or not held:
            continue
        names = ", ".join(snapshot.name_of(o) for o in held[:3])
        more = f" and {len(held) - 3} more" if len(held) > 3 else ""
        closed = shuts(context, pid=session.pid)
        yield context.finding(
            f"pid {session.pid}",
            f"Idle in a transaction for {age(idle)}, holding locks on {names}{more}. {closed}".rstrip(),
            severity=Severity.CRITICAL if closed else Severity.WARNING,
            effect=Effect.WRITES_FAIL if closed else Effect.RISK,
            affects=context.affected(*held),
            evidence=[describe(session)],
            remedy=Remedy(
                sql=(ending(session),),
                role=WHO_ENDS,
                undo=None,
                decide=ENDS,
                note="Rolls its transaction back. To prevent it: "
                "idle_in_transaction_session_timeout.",
            ),
        )


CHECK = Check(
    id="idle-in-transaction",
    title="Idle in transaction with locks on a TVIEW's tables",
    group="activity",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("sessions", "locks", "relations"),
    thresholds={"seconds": Threshold(300, "s", "five minutes: no interactive user is waited for")},
    provoke=Provoke(elsewhere="test/integration/checks/test_activity.py::test_idle_in_transaction"),
)
