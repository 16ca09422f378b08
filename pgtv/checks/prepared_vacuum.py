"""A prepared transaction holds vacuum back, in every database of the cluster.

Meaning:
    Nothing that died after the transaction began can be removed while it exists, and the transaction
    id horizon cannot advance.

Impact:
    Tables that are written often (TVIEWs are) grow, HOT updates stop finding room. In the end the
    cluster stops accepting writes to avoid transaction id wraparound.

Diagnosis:
    age(transaction) in pg_prepared_xacts.

Mitigation:
    Resolve it in the database where it was prepared.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.resolving import evidence, remedy
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for prepared in context.snapshot.prepared:
        if prepared.xid_age >= context.threshold("xid_age"):
            yield context.finding(
                prepared.gid,
                f"{prepared.xid_age:,} transactions began since; vacuum can remove nothing that "
                "died after it.",
                evidence=[{"xid_age": prepared.xid_age}, *evidence(context, prepared)],
                remedy=remedy(context, prepared),
            )


CHECK = Check(
    id="prepared-vacuum",
    title="A prepared transaction holds vacuum back",
    group="twophase",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("prepared",),
    where="primary",
    extension=False,
    consequence_of=("prepared-blocks", "prepared-orphan"),
    thresholds={
        "xid_age": Threshold(
            10_000_000, "transactions", "a twentieth of autovacuum_freeze_max_age's default"
        )
    },
    provoke=Provoke(
        elsewhere="test/integration/checks/test_twophase.py::test_an_old_horizon_is_a_vacuum_problem"
    ),
)
