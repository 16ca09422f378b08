"""A prepared transaction wrote an UNLOGGED TVIEW: a crash now would lose rows silently.

Meaning:
    PREPARE made the base table's rows durable. The rows of an UNLOGGED TVIEW are not: a crash or a
    promotion empties it, it is refilled from what is committed by then, and COMMIT PREPARED later
    brings the base rows without theirs.

Impact:
    None yet. After crash (or promotion) and commit: rows missing for good, with the extension's health
    check saying OK.

Diagnosis:
    Locks of the prepared transaction on tables of UNLOGGED TVIEWs.

Mitigation:
    Resolve it soon. After COMMIT PREPARED, verify or refresh the TVIEWs named. Do not make TVIEWs
    UNLOGGED where two-phase commit is used.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.resolving import evidence, remedy, unlogged_of
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for prepared in context.snapshot.prepared:
        unlogged = tuple(t.label for t in unlogged_of(context, prepared))
        if unlogged:
            yield context.finding(
                prepared.gid,
                f"It touched UNLOGGED {', '.join(unlogged)}: after a crash or a promotion and its "
                "COMMIT PREPARED, rows would be missing for good.",
                affects=unlogged,
                evidence=evidence(context, prepared),
                remedy=remedy(context, prepared),
            )


CHECK = Check(
    id="prepared-unlogged",
    title="A prepared transaction touched an UNLOGGED TVIEW",
    group="twophase",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("prepared", "locks", "relations"),
    where="primary",
    consequence_of=("prepared-blocks", "prepared-orphan"),
    provoke=Provoke(
        near_miss="BEGIN; UPDATE \"Sales Dept\".tb_order SET status = 'paid' WHERE pk_order = 1;"
        " PREPARE TRANSACTION 'logged only'; ROLLBACK PREPARED 'logged only';",
        break_="BEGIN; UPDATE public.tb_product SET name = 'u' WHERE pk_product = 1;"
        " PREPARE TRANSACTION 'trio';",
        object="trio",
    ),
)
