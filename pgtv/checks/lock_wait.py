"""Sessions wait for a lock on a TVIEW or on a table that one reads.

Meaning:
    Somebody holds a lock for longer than a writing statement needs: a transaction left open, a long
    refresh (ACCESS EXCLUSIVE until it commits), DDL that queued in front of everybody else.

Impact:
    The waiting statements hang until the holder ends or a timeout fires. Behind a waiting ACCESS
    EXCLUSIVE request even readers queue. A VACUUM or a concurrent index build that waits stops nobody
    else. On a standby where replay waits behind a reader, rows grow older until it ends.

Diagnosis:
    pg_locks with pg_blocking_pids, followed to the session at the head of the queue.

Mitigation:
    End the blocker: pg_cancel_backend for a running statement, pg_terminate_backend for one idle in
    transaction. Both roll its transaction back; nothing committed is lost. Use lock_timeout for DDL.
    On a standby, replay holds what a transaction of the primary holds, a prepared one too: that has to
    end there.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot
from pgtv.catalog.waits import Wait, root_blockers
from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.people import ENDS, WHO_ENDS, describe, ending
from pgtv.checks.resolving import age, waiting_sessions
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    sessions = {s.pid: s for s in snapshot.sessions}
    groups: dict[tuple[tuple[int, ...], int | None], list[Wait]] = {}
    queued = waiting_sessions(context)
    for wait in queued:
        if wait.seconds >= context.threshold("warning_seconds"):
            pids, gids = root_blockers(queued, wait)
            if pids or not gids:  # behind a prepared transaction alone: that check tells
                # behind sessions that cannot be seen, every relation may have one of its own
                groups.setdefault((pids, None if pids else min(wait.relations)), []).append(wait)
    replaying = _replaying(snapshot)
    for (pids, _), queue in groups.items():
        replay = bool(replaying & set(pids))
        relations = sorted({o for w in queue for o in w.relations})
        longest = queue[0].seconds
        critical = longest >= context.threshold("critical_seconds")
        blockers = [s for p in pids if (s := sessions.get(p))]
        names = ", ".join(snapshot.name_of(o) for o in relations[:3])
        held = ", ".join(
            f"the replay (pid {p}) of a transaction that is open on the primary"
            if p in replaying
            else f"pid {p}"
            for p in pids
        )
        held = held or "a session that cannot be seen"
        yield context.finding(
            snapshot.name_of(relations[0]),
            f"{len(queue)} waiting on {names} behind {held}, the longest for {age(longest)}.",
            severity=Severity.CRITICAL if critical else Severity.WARNING,
            effect=_effect(snapshot, queue, replay),
            affects=context.affected(*relations),
            evidence=[
                *({"blocks": f"pid {b.pid}", **describe(b)} for b in blockers),
                *(
                    {
                        "waits": f"pid {w.pid}",
                        "for": w.mode,
                        "since": age(w.seconds),
                        "query": w.session.query if w.session else None,
                    }
                    for w in queue
                ),
            ],
            remedy=Remedy(
                note="It ends here when it ends on the primary, prepared transactions too: look there,"
                " with pgtv doctor and pgtv 2pc list.",
            )
            if replay
            else _unseen(snapshot, pids)
            if not blockers
            else Remedy(
                sql=tuple(ending(b) for b in blockers),
                role=WHO_ENDS,
                undo=None,
                decide=ENDS,
                note="Its transaction is rolled back; what it had committed stays.",
            ),
        )


def _effect(snapshot: Snapshot, queue: list[Wait], replay: bool) -> Effect:
    """Writes fail where a writer waits, or would: behind what keeps readers waiting, or a request that
    excludes writers. On a standby nobody writes: what replay holds is held against writers of the
    primary, too; what keeps replay waiting is not.
    """
    if snapshot.server.in_recovery:
        return Effect.WRITES_FAIL if replay else Effect.RISK
    harmless = all(w.mode == "ShareUpdateExclusiveLock" for w in queue)
    return Effect.RISK if harmless else Effect.WRITES_FAIL


def _unseen(snapshot: Snapshot, pids: tuple[int, ...]) -> Remedy:
    """Nothing to end yet: what it takes to see who is in the way."""
    if snapshot.server.monitors:
        who = f"pid {', '.join(map(str, pids))}" if pids else "Who is in the way"
        return Remedy(note=f"{who} was not there any more, or in no transaction here: look again.")
    role = ident(snapshot.server.user)
    return Remedy(
        role="a superuser, for the GRANT",
        note="Who is in the way is hidden from this role, so that nothing can be ended yet: look again "
        f"as a member of pg_monitor (GRANT pg_monitor TO {role};).",
    )


def _replaying(snapshot: Snapshot) -> set[int]:
    """The process of a standby that replays: nobody else there can hold so strong a lock."""
    if not snapshot.server.in_recovery:
        return set()
    strong = (k for k in snapshot.locks if k.granted and k.mode == "AccessExclusiveLock")
    return {k.pid for k in strong if k.pid is not None}


CHECK = Check(
    id="lock-wait",
    title="Sessions wait for a lock on a TVIEW's tables",
    group="activity",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("locks", "relations"),
    consequence_of=("prepared-blocks", "idle-in-transaction"),
    thresholds={
        "warning_seconds": Threshold(1, "s", "deadlock_timeout's default; shorter is normal"),
        "critical_seconds": Threshold(30, "s", "people and most client timeouts give up by then"),
    },
    provoke=Provoke(elsewhere="test/integration/checks/test_activity.py::test_who_blocks_whom"),
)
