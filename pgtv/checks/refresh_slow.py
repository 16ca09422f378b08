"""Full refreshes of a TVIEW take long.

Meaning:
    The extension's own refresh empties and refills the table in one transaction.

Impact:
    Every reader of the TVIEW and of those that embed it waits as long.

Diagnosis:
    The extension's counters: time spent in refreshes by their number, since they were reset.

Mitigation:
    Refresh rarely; repair only the rows that differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    by_entity = context.snapshot.tview_by_entity
    for counters in context.snapshot.counters:
        times, total = (
            counters.values.get("full_refreshes", 0),
            counters.values.get("refresh_ms", 0),
        )
        tview = by_entity.get(counters.entity)
        if not tview or not times or total / times < context.threshold("ms"):
            continue
        yield context.finding(
            tview.label,
            f"{times:.0f} full refreshes took {total / times / 1000:.1f} s each on average; its readers "
            "waited as long.",
            affects=context.affected(tview.table_oid),
            evidence=[{"full_refreshes": int(times), "refresh_ms": round(total)}],
        )


CHECK = Check(
    id="refresh-slow",
    title="Full refreshes take long",
    group="activity",
    severity=Severity.INFO,
    effect=Effect.NONE,
    run=run,
    needs=("tviews", "counters"),
    where="primary",
    # the counters stand in shared memory, which only a preloaded library has
    consequence_of=("not-preloaded", "library-unloadable", "library-mismatch"),
    thresholds={"ms": Threshold(1000, "ms", "a second: readers notice")},
    provoke=Provoke(elsewhere="test/unit/checks/test_activity.py::test_slow_refreshes"),
)
