"""The change feed of TVIEWs has gaps.

Meaning:
    With publishing on, changes of TVIEWs are announced by NOTIFY. Where its queue is over nine tenths
    full, a transaction commits without announcing what it changed, with a WARNING for its client.

Impact:
    Listeners (caches, search indexes) missed changes and show old data until they read anew.

Diagnosis:
    The extension's own counter of such transactions, of the whole cluster, since the server started.
    Resetting the statistics leaves it as it is.

Mitigation:
    End the session that holds the queue (notify-queue names it), and have listeners read everything
    anew. The counter starts over with the server only: raise the threshold to the gaps that are dealt
    with until then.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, NotApplicable, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.shown import plural


def run(context: Context) -> Iterator[Finding]:
    growth = context.snapshot.growth
    if growth is None or growth.feed_gaps is None:
        raise NotApplicable("this release has no such counter")
    gaps = growth.feed_gaps
    if gaps > context.threshold("gaps"):
        yield context.finding(
            "(database)",
            f"Changes of {plural(gaps, 'transaction')} were announced to no listener since the server "
            "started.",
            evidence=[{"feed_gaps": gaps}],
            remedy=Remedy(
                note="Listeners must read anew what they hold. Then, until the server is restarted: "
                f"--threshold feed-gap.gaps={gaps}"
            ),
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
    thresholds={"gaps": Threshold(0, "transactions", "one is enough for a listener to be wrong")},
    provoke=Provoke(elsewhere="test/unit/checks/test_activity.py::test_feed_gaps"),
)
