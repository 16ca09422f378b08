"""The last verification found rows that differ from the definition.

Meaning:
    When this TVIEW was compared with its definition the last time, some rows were missing, extra or
    changed. Nobody has verified it since, and no merge of pgtv made them right.

Impact:
    Whoever reads this TVIEW, or one that embeds it, may be served wrong rows. Rows heal by
    themselves only when their own base rows happen to be written again.

Diagnosis:
    The newest row of pgtv.verification for this table, of this server and database. Which rows, and
    where they differ, tells pgtv verify. A row of the mode merge is no verification: it says that
    every row was compared at that moment or later, and that those that differed were brought.

Mitigation:
    Verify again; find what let rows slip (missing or disabled triggers, a restore, direct writes)
    and cure that first; then refresh the TVIEW, and verify once more.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.contents import remedy
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Severity
from pgtv.rows.recorded import drifted, latest, may_differ


def run(context: Context) -> Iterator[Finding]:
    verified, wrong = latest(context.snapshot), drifted(context.snapshot)
    for tview in context.snapshot.tviews:
        if tview.table_oid not in wrong or may_differ(tview):
            continue
        last = verified[tview.table_oid]
        affects = context.affected(tview.table_oid)
        yield context.finding(
            tview.label,
            f"{_rows(last.differing)} of {tview.label} differed from its definition when it was last"
            f" verified, {last.age_seconds / 3600:,.1f} hours ago.",
            affects=affects,
            evidence=[
                {
                    "verified": last.verified_at,
                    "rows that differed": last.differing,
                    "of": last.rows,
                }
            ],
            remedy=remedy(context.snapshot, context.edges, context.dialect, tview.label, affects),
        )


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"


CHECK = Check(
    id="drift-recorded",
    title="The last verification found rows that differ",
    group="contents",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "verifications"),
    consequence_of=("drift",),
    provoke=Provoke(elsewhere="test/integration/rows/test_checks.py::test_recorded_drift"),
)
