"""The library cannot read a TVIEW's stored plan.

Meaning:
    The plan says how writes to each base table reach the TVIEW's rows. The library reads the plans
    of all TVIEWs together, strictly; one of them has a shape or a version that it refuses.

Impact:
    Every write to any base table of any TVIEW in the database fails (SQLSTATE XX000, `could not read
    the propagation plans`), whatever it has to do with this TVIEW. Nothing is lost: the writes are
    refused.

Diagnosis:
    The stored JSON is checked member by member as the library does. The extension's health check
    says it too, except where it fails itself on the same plan.

Mitigation:
    Re-registering derives the plan anew, but fails while another TVIEW's plan is unreadable. So all
    unreadable plans are emptied first (which the library can read), then each TVIEW is re-registered,
    in one transaction, so that no write slips through in between. Rows need nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.checks.bindings import TIMEOUT, argument, upstream_first
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    broken = upstream_first(context, (t for t in context.snapshot.tviews if t.plan_error))
    everything = tuple(t.label for t in context.snapshot.tviews)
    for tview in broken:
        yield context.finding(
            tview.label,
            f"Every write to any base table of any TVIEW fails (XX000): the library cannot read the "
            f"plan of {tview.label}. {_sentence(tview.plan_error)}.",
            affects=(tview.label, *(e for e in everything if e != tview.label)),
            evidence=[{"entity": tview.entity, "plan": tview.plan_error}],
            remedy=Remedy(
                sql=(
                    TIMEOUT,
                    "BEGIN;",
                    registering.empty_plans(
                        context.dialect, context.extschema, [t.entity for t in broken]
                    ),
                    *(context.dialect.reregister(argument(t)) for t in broken),
                    "COMMIT;",
                ),
                role="superuser",
                note="First of all cures: re-registering anything else fails until then. Rows are right: "
                "the writes were refused, none was lost."
                + (f" It cures all {len(broken)} at once." if len(broken) > 1 else ""),
            ),
        )


def _sentence(text: str | None) -> str:
    return (text or "")[:1].upper() + (text or "")[1:]


CHECK = Check(
    id="plan-unreadable",
    title="A plan is unreadable: every write fails",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews",),
    consequence_of=("library-mismatch",),
    generations=("current",),
    provoke=Provoke(
        near_miss=f"UPDATE {registering.META} SET plan = plan || '{{\"later\": [1]}}';",
        break_=f"UPDATE {registering.META} SET plan = '{{}}' WHERE entity = 'order';"
        f" UPDATE {registering.META} SET plan = '{{\"version\": 4}}' WHERE entity = 'customer';",
        object="public.tv_customer",
    ),
)
