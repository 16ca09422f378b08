"""Contents were verified once, but not lately.

Meaning:
    The last recorded verification of this TVIEW is older than the threshold. One by --since last
    counts: it proves the same, but for the kinds of fault that it names.

Impact:
    Drift since then would not have been noticed: the extension itself never compares contents.

Diagnosis:
    The newest row of pgtv.verification for this table, of this server and database.

Mitigation:
    Verify it; let a timer do so: pgtv verify with --budget and --oldest-first passes over all TVIEWs
    in turn, and with --since last compares what may have changed since.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.rows.recorded import latest


def run(context: Context) -> Iterator[Finding]:
    hours = context.threshold("hours")
    verified = latest(context.snapshot)
    for tview in context.snapshot.tviews:
        last = verified.get(tview.table_oid)
        if last is None or last.age_seconds <= hours * 3600:
            continue
        age = last.age_seconds / 3600
        yield context.finding(
            tview.label,
            f"{tview.label} was last verified {age:,.0f} hours ago.",
            evidence=[{"verified": last.verified_at, "rows that differed": last.differing}],
            remedy=Remedy(
                command=f"pgtv verify {_shell(tview.label)}",
                role=f"a role that may read {tview.label} and its view",
            ),
        )


def _shell(name: str) -> str:
    import shlex

    return shlex.quote(name)


CHECK = Check(
    id="verification-old",
    title="Contents were not verified lately",
    group="contents",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "verifications"),
    thresholds={
        "hours": Threshold(24, "hours", "one verification a day, as daily backups are checked")
    },
    provoke=Provoke(elsewhere="test/integration/rows/test_checks.py::test_old_verification"),
)
