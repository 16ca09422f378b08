"""A TVIEW waits to be re-registered.

Meaning:
    The catalog row is marked: an update of the extension, a restore or a repair changed what the plan
    is derived from, and the TVIEW was not re-registered since.

Impact:
    Writes go on with the plan as it is. What the new release derives better, or what the repair meant
    to derive, is not in force; triggers may be missing.

Diagnosis:
    The column needs_reregister of the catalog.

Mitigation:
    Re-register it; rows stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import current, registering
from pgtv.checks.bindings import GENERATIONS, reregister
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        if tview.needs_reregister:
            yield context.finding(
                tview.label,
                f"{tview.label} is marked to be re-registered, and was not.",
                affects=(tview.label,),
                evidence=[{"entity": tview.entity, "needs_reregister": True}],
                remedy=reregister(context, tview, refresh=False),
            )


CHECK = Check(
    id="needs-reregister",
    title="A TVIEW waits to be re-registered",
    group="metadata",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    consequence_of=("library-mismatch", "view-mismatch", "table-mismatch", "plan-unreadable"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss=current.DIALECT.reregister("public.tv_customer"),
        break_=f"UPDATE {registering.META} SET needs_reregister = true WHERE entity = 'stock';",
        object="public.tv_stock",
    ),
)
