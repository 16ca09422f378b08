"""Checks on states that a test server cannot be brought into, from snapshots."""

from __future__ import annotations

from dataclasses import replace

from pgtv.catalog import model
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import Outcome, State, examine
from pgtv.checks.registry import select
from pgtv.finding import Severity


def healthy() -> Snapshot:
    return Snapshot(
        taken_at="2026-01-01T00:00:00+00:00",
        pgtv_version="0",
        server=model.Server(max_connections=100, connections=5, notify_queue_usage=0.0),
        extension=model.Extension("current", installed=True),
    )


def outcome(check: str, snapshot: Snapshot) -> Outcome:
    (found,) = examine(snapshot, select(only=(check,))).outcomes
    return found


def test_thresholds_of_the_notify_queue() -> None:
    for usage, expected in ((0.49, None), (0.5, Severity.WARNING), (0.8, Severity.CRITICAL)):
        server = replace(healthy().server, notify_queue_usage=usage)
        found = outcome("notify-queue", replace(healthy(), server=server)).findings
        assert [f.severity for f in found] == ([expected] if expected else [])


def test_archiving_that_fails() -> None:
    def archiver(**kw: str | None) -> Outcome:
        return outcome("archiving", replace(healthy(), archiver=model.Archiver("on", **kw)))

    early, late = "2026-01-01 00:00:00+00", "2026-01-02 00:00:00+00"
    assert archiver(last_archived=late, last_failed=early).state is State.OK
    assert archiver(last_archived=early, last_failed=late).state is State.FOUND
    assert archiver(last_archived=None, last_failed=late).state is State.FOUND
    off = outcome("archiving", replace(healthy(), archiver=model.Archiver("off")))
    assert off.state is State.NOT_APPLICABLE


def test_feed_gaps() -> None:
    for gaps, state in ((None, State.NOT_APPLICABLE), (0, State.OK), (2, State.FOUND)):
        snapshot = replace(healthy(), growth=model.Growth(feed_gaps=gaps))
        assert outcome("feed-gap", snapshot).state is state


def test_room() -> None:
    for free, expected in ((21, None), (20, Severity.WARNING), (15, Severity.CRITICAL)):
        growth = model.Growth(data_total_bytes=100, data_free_bytes=free)
        found = outcome("room", replace(healthy(), growth=growth)).findings
        assert [f.severity for f in found] == ([expected] if expected else [])
    assert outcome("room", healthy()).state is State.NOT_APPLICABLE


def test_slow_refreshes() -> None:
    tview = model.Tview("a", "public", "tv_a", 1, 2, "SELECT 1", table_name="public.tv_a")
    for total, state in ((1500, State.OK), (3000, State.FOUND)):
        counters = model.Counters("a", {"full_refreshes": 2, "refresh_ms": total})
        snapshot = replace(healthy(), tviews=(tview,), counters=(counters,))
        assert outcome("refresh-slow", snapshot).state is state
