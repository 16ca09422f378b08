"""Records of verifications pile up: whoever writes them may not delete old ones.

Meaning:
    pgtv keeps the newest 100 records of a TVIEW, and deletes older ones as it writes one. Of this TVIEW
    there are many more.

Impact:
    Whatever looks (doctor, status) and `pgtv verify --since last` read all of them each time, and get
    slower with each run. Nothing is wrong.

Diagnosis:
    pgtv.verification, by table_name and verified_by. Deleting needs DELETE on that table, which the
    role that records lacks: INSERT alone is enough to write.

Mitigation:
    Grant it what sql/roles/looking.sql grants with -v records=on; its next verification deletes what is
    too much.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.rows.recorded import latest


def run(context: Context) -> Iterator[Finding]:
    most = context.threshold("records")
    verified = latest(context.snapshot)
    for tview in context.snapshot.tviews:
        last = verified.get(tview.table_oid)
        if last is None or last.records <= most:
            continue
        yield context.finding(
            tview.label,
            f"{last.records:,} verifications of {tview.label} are on record, old ones are not deleted.",
            evidence=[{"records": last.records, "newest": last.verified_at}],
            remedy=Remedy(
                command=f"pgtv verify {_shell(tview.label)}",
                role="the owner of pgtv.verification, or a role that may DELETE from it",
                note="Deletes all but the newest 100. pgtv sql roles/looking grants it to the role of a"
                " timer, with -v records=on.",
            ),
        )


def _shell(name: str) -> str:
    import shlex

    return shlex.quote(name)


CHECK = Check(
    id="verification-untrimmed",
    title="Old records of verifications are not deleted",
    group="contents",
    severity=Severity.INFO,
    effect=Effect.NONE,
    run=run,
    needs=("tviews", "verifications"),
    thresholds={"records": Threshold(200, "records", "twice as many as pgtv keeps of a TVIEW")},
    provoke=Provoke(
        elsewhere="test/integration/rows/test_checks.py::test_records_that_nobody_trims"
    ),
)
