"""Nearly all places for prepared transactions are taken.

Meaning:
    max_prepared_transactions bounds how many can exist in the cluster at once.

Impact:
    The next PREPARE TRANSACTION fails with 53400 and the application's transaction with it.

Diagnosis:
    Rows in pg_prepared_xacts against the setting.

Mitigation:
    Resolve orphans first. Raising the setting needs a restart, and the same value or more on standbys.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    used, places = len(context.snapshot.prepared), context.snapshot.server.max_prepared_transactions
    if not places or used / places < context.threshold("ratio"):
        return
    full = used >= places
    yield context.finding(
        "(server)",
        f"{used} of {places} places for prepared transactions are taken"
        + ("; the next PREPARE TRANSACTION fails." if full else "."),
        severity=Severity.CRITICAL if full else Severity.WARNING,
        effect=Effect.WRITES_FAIL if full else Effect.RISK,
        evidence=[{"gid": p.gid, "prepared_at": p.prepared_at} for p in context.snapshot.prepared],
        remedy=Remedy(
            sql=(
                "SELECT gid, prepared, owner, database FROM pg_prepared_xacts ORDER BY prepared;",
            ),
            role="any role",
            note="Resolve what is orphaned, oldest first.",
        ),
    )


CHECK = Check(
    id="prepared-slots",
    title="Places for prepared transactions run out",
    group="twophase",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("prepared",),
    where="primary",
    extension=False,
    thresholds={"ratio": Threshold(0.8, "of max_prepared_transactions", "as for connections")},
    provoke=Provoke(elsewhere="test/integration/checks/test_twophase.py::test_places_run_out"),
)
