"""Checks on states that a test server cannot be brought into, from snapshots."""

from __future__ import annotations

import re
from dataclasses import replace

from pgtv.catalog import model
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import Outcome, State, examine
from pgtv.checks.registry import select
from pgtv.finding import Finding, Severity


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
    found = outcome("feed-gap", snapshot).findings[0]
    assert found.remedy and found.remedy.note
    known = re.findall(r"--threshold feed-gap\.gaps=(\d+)", found.remedy.note)
    for gaps, state in ((2, State.OK), (3, State.FOUND)):
        snapshot = replace(healthy(), growth=model.Growth(feed_gaps=gaps))
        told = {"feed-gap": {"gaps": float(known[0])}}
        (seen,) = examine(snapshot, select(only=("feed-gap",)), told).outcomes
        assert seen.state is state


def test_a_delay_of_a_standby_that_has_caught_up_is_no_lag() -> None:
    """The server goes on telling it for seconds, or until the primary writes again."""
    for behind, expected in ((0, State.OK), (1, State.FOUND), (None, State.FOUND)):
        replica = model.Replica("s", "streaming", "async", 100.0, behind)
        assert outcome("replica-lag", replace(healthy(), replicas=(replica,))).state is expected


def test_room() -> None:
    for free, expected in ((21, None), (20, Severity.WARNING), (15, Severity.CRITICAL)):
        growth = model.Growth(data_total_bytes=100, data_free_bytes=free)
        found = outcome("room", replace(healthy(), growth=growth)).findings
        assert [f.severity for f in found] == ([expected] if expected else [])
    assert outcome("room", healthy()).state is State.NOT_APPLICABLE
    hidden = model.Gap("room", "data_directory is hidden", ("pg_read_all_settings",))
    unseen = outcome("room", replace(healthy(), gaps=(hidden,)))
    assert unseen.state is State.UNKNOWN
    assert unseen.findings[0].needs == ("pg_read_all_settings",)


def test_connections_that_cannot_be_counted_are_unknown() -> None:
    server = replace(healthy().server, connections=None)
    unseen = outcome("connections", replace(healthy(), server=server))
    assert unseen.state is State.UNKNOWN
    assert "pg_stat_database" in str(unseen.findings[0].needs)


def slots(limit: str, source: str, *found: model.Slot) -> tuple[Finding, ...]:
    settings = (model.Setting("max_slot_wal_keep_size", limit, source),)
    return outcome("replication-slot", replace(healthy(), slots=found, settings=settings)).findings


def test_a_slot_that_is_unreserved_is_not_dropped() -> None:
    """Active too: nobody can drop it then, and nobody has to build its consumer anew."""
    slot = model.Slot("s", "physical", True, wal_status="unreserved", retained_bytes=300 * 2**20)
    for source, before in (("default", "RESET {}"), ("configuration file", "SET {} = '100MB'")):
        (finding,) = slots("100", source, slot)
        assert finding.severity is Severity.WARNING
        assert finding.remedy and "anew" not in finding.detail + str(finding.remedy)
        assert finding.remedy.sql[0] == "ALTER SYSTEM SET max_slot_wal_keep_size = '602MB';"
        assert finding.remedy.undo
        assert before.format("max_slot_wal_keep_size") in finding.remedy.undo
    (finding,) = slots("-1", "default", slot)
    assert finding.remedy and not finding.remedy.sql and "catch up" in str(finding.remedy.note)


def waiting(monitors: bool, *waits: model.Lock) -> tuple[Finding, ...]:
    """Findings on what waits for two tables, of which somebody unknown holds each."""
    names = ("tb_a", "tb_b", "tv_a", "v_a")
    relations = tuple(
        model.Relation(n, "public", name, f"public.{name}", "v" if name[0] == "v" else "r", "me")
        for n, name in enumerate(names, 1)
    )
    tview = model.Tview("a", "public", "tv_a", 3, 4, "SELECT 1", table_name="public.tv_a")
    server = replace(healthy().server, monitors=monitors, user='me"x')
    reads = (model.Read(4, 1), model.Read(4, 2))
    return outcome(
        "lock-wait",
        replace(
            healthy(), server=server, relations=relations, tviews=(tview,), reads=reads, locks=waits
        ),
    ).findings


def test_waits_behind_sessions_that_cannot_be_seen_are_told_apart() -> None:
    queue = (
        model.Lock(1, "RowExclusiveLock", False, 11, wait_seconds=40),
        model.Lock(1, "AccessShareLock", False, 12, wait_seconds=20),
        model.Lock(2, "RowExclusiveLock", False, 13, wait_seconds=2),
    )
    found = waiting(False, *queue)
    assert {(f.object, f.severity, len(f.evidence)) for f in found} == {
        ("public.tb_a", Severity.CRITICAL, 2),
        ("public.tb_b", Severity.WARNING, 1),
    }
    assert len({f.id for f in found}) == 2
    for finding in found:
        remedy = finding.remedy
        assert remedy and not remedy.sql and not remedy.decide
        assert "pg_signal_backend" not in str(remedy) and "rolled back" not in str(remedy)
        assert 'GRANT pg_monitor TO "me""x";' in str(remedy.note)
    (gone, _) = waiting(True, *queue)
    assert gone.remedy and not gone.remedy.sql and "look again" in str(gone.remedy.note)
    assert "GRANT" not in str(gone.remedy)


def test_every_member_of_a_cycle_is_put_right() -> None:
    relations = tuple(
        model.Relation(n, "public", name, f"public.{name}", name[0].replace("t", "r"), "me")
        for n, name in enumerate(("tv_a", "v_a", "tv_b", "v_b"), 1)
    )
    tviews = tuple(
        model.Tview(e, "public", f"tv_{e}", n, n + 1, "SELECT 1", table_name=f"public.tv_{e}")
        for e, n in (("a", 1), ("b", 3))
    )
    reads = (model.Read(2, 3), model.Read(4, 1))
    (finding,) = outcome(
        "cycle", replace(healthy(), relations=relations, tviews=tviews, reads=reads)
    ).findings
    note = str(finding.remedy and finding.remedy.note)
    for name in ("public.tv_a", "public.tv_b"):
        assert re.search(rf"reregister\('{name}'\)", note), note
        assert re.search(rf"_refresh\('{name}'\)", note), note


def test_slow_refreshes() -> None:
    tview = model.Tview("a", "public", "tv_a", 1, 2, "SELECT 1", table_name="public.tv_a")
    for total, state in ((1500, State.OK), (3000, State.FOUND)):
        counters = model.Counters("a", {"full_refreshes": 2, "refresh_ms": total})
        snapshot = replace(healthy(), tviews=(tview,), counters=(counters,))
        assert outcome("refresh-slow", snapshot).state is state
