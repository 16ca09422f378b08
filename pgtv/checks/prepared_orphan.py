"""A prepared transaction has been waiting for its second phase for long.

Meaning:
    PREPARE TRANSACTION happened, COMMIT PREPARED or ROLLBACK PREPARED did not. After an hour nobody is
    likely to come back: the coordinator crashed, or lost its record.

Impact:
    It keeps its row, relation and advisory locks through restarts: writers of the same rows wait, a
    refresh of the TVIEWs that it touched waits, vacuum cannot remove what died since, in every
    database of the cluster. One that locks whole tables is told by prepared-blocks at once.

Diagnosis:
    pg_prepared_xacts, with its locks from pg_locks. The gid often tells which transaction manager
    made it.

Mitigation:
    Ask the coordinator. If it decided to commit, or its other branches did, COMMIT PREPARED;
    otherwise ROLLBACK PREPARED. Both need the role that prepared it (or a superuser), the same
    database, and no transaction block.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.waits import written_by
from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.resolving import age, evidence, remedy
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    limit = context.threshold("age_seconds")
    for prepared in snapshot.prepared:
        if prepared.age_seconds < limit:
            continue
        here = prepared.database == snapshot.server.database
        affects = context.affected(*written_by(snapshot, prepared)) if here else ()
        where = "" if here else f" in database {prepared.database}"
        yield context.finding(
            prepared.gid,
            f"Prepared {age(prepared.age_seconds)} ago by {prepared.owner}{where} and neither "
            f"committed nor rolled back; it holds its locks until somebody does.",
            affects=affects,
            evidence=evidence(context, prepared),
            remedy=remedy(context, prepared),
        )


CHECK = Check(
    id="prepared-orphan",
    title="Orphaned prepared transaction",
    group="twophase",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("prepared", "locks"),
    where="primary",
    extension=False,
    thresholds={
        "age_seconds": Threshold(3600, "s", "an hour: coordinators recover within minutes")
    },
    provoke=Provoke(
        elsewhere="test/integration/checks/test_twophase.py::test_an_orphan_is_named_with_what_it_holds_and_resolved_as_printed"
    ),
)
