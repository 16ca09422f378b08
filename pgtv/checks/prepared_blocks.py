"""A prepared transaction keeps others waiting on a TVIEW or a table that it reads.

Meaning:
    Sessions wait for locks that a prepared transaction holds; or it locks whole tables, so that whoever
    writes to them next will wait. Prepared while triggers were suspended, it holds ACCESS EXCLUSIVE on
    TVIEWs: then every reader of them waits too. DDL on a base table does the same there.

Impact:
    The waiting statements end only by lock_timeout, statement_timeout or by resolving the
    transaction. Nothing else ends it: it has no session that could be terminated.

Diagnosis:
    pg_blocking_pids says 0 for such waits and cannot tell which transaction it is. Here it is found
    by the transaction id waited for, or by conflicting lock modes on the same relation.

Mitigation:
    Resolve it: COMMIT PREPARED or ROLLBACK PREPARED, as its coordinator decided.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.waits import root_blockers, written_by
from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.resolving import age, evidence, remedy, shuts, waiting_sessions
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    limit = context.threshold("wait_seconds")
    behind: dict[str, list[dict[str, object]]] = {}
    queued = waiting_sessions(context)
    for wait in queued:
        if wait.seconds < limit:
            continue
        for gid in root_blockers(queued, wait)[1]:
            behind.setdefault(gid, []).append(
                {
                    "waits": f"pid {wait.pid}",
                    "for": wait.mode,
                    "since": age(wait.seconds),
                    "query": wait.session.query if wait.session else None,
                }
            )
    for prepared in snapshot.prepared:
        closed = shuts(context, gid=prepared.gid)
        waiting = behind.get(prepared.gid, [])
        if not closed and not waiting:
            continue
        queue = f" {len(waiting)} waiting for it, longest {waiting[0]['since']}." if waiting else ""
        yield context.finding(
            prepared.gid,
            f"Prepared {age(prepared.age_seconds)} ago by {prepared.owner}.{queue} {closed}".rstrip(),
            affects=context.affected(*written_by(snapshot, prepared)),
            evidence=[*waiting, *evidence(context, prepared)],
            remedy=remedy(context, prepared),
        )


CHECK = Check(
    id="prepared-blocks",
    title="A prepared transaction keeps others waiting",
    group="twophase",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("prepared", "locks", "relations"),
    where="primary",
    consequence_of=("prepared-orphan",),
    thresholds={"wait_seconds": Threshold(1, "s", "deadlock_timeout's default; shorter is normal")},
    provoke=Provoke(
        near_miss="BEGIN; UPDATE public.tb_customer SET name = 'n' WHERE pk_customer = 7;"
        " PREPARE TRANSACTION 'near miss'; ROLLBACK PREPARED 'near miss';",
        break_="BEGIN; SELECT tviews.pg_tviews_suspend_triggers();"
        " UPDATE public.tb_category SET name = 'c' WHERE pk_category = 1;"
        " PREPARE TRANSACTION 'suspended';",
        object="suspended",
    ),
)
