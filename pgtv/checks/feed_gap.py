"""The change feed of TVIEWs has gaps.

Meaning:
    With publishing on, changes of TVIEWs are announced by NOTIFY. Some could not be announced.

Impact:
    Listeners (caches, search indexes) missed changes and show old data until they read anew.

Diagnosis:
    The extension's own counter of feed gaps since its statistics were reset.

Mitigation:
    Tell listeners to read everything anew; then reset the statistics.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, NotApplicable, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    growth = context.snapshot.growth
    if growth is None or growth.feed_gaps is None:
        raise NotApplicable("this release has no such counter")
    if growth.feed_gaps > 0:
        yield context.finding(
            "(database)",
            f"{growth.feed_gaps} announcements of changes were lost since the counter was reset.",
            evidence=[{"feed_gaps": growth.feed_gaps}],
            remedy=Remedy(note="Listeners must read anew what they hold."),
        )


CHECK = Check(
    id="feed-gap",
    title="Listeners missed changes",
    group="activity",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews",),
    where="primary",
    provoke=Provoke(elsewhere="test/unit/checks/test_activity.py::test_feed_gaps"),
)
