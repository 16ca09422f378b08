"""Whether a standby has what its primary wrote, on the same timeline: lag in bytes and seconds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pgtv.catalog.model import Snapshot
from pgtv.checks.resolving import age
from pgtv.finding import Severity
from pgtv.lifecycle.verdict import Point

LAG = 10.0  # seconds; as the check replica-lag


def lsn(text: str) -> int:
    """A WAL position in bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def facts(here: Snapshot, primary: Snapshot | None) -> dict[str, str]:
    """How far it is, for people."""
    standby = here.standby
    if standby is None:
        return {"server": "standby"}
    state = "streaming" if standby.receiving else "not streaming"
    timeline = f", timeline {standby.timeline}" if standby.timeline else ""
    found = {"server": f"standby, {state}{timeline}"}
    behind = _not_arrived(here, primary)
    if primary:
        found["not arrived"] = "unknown" if behind is None else f"{max(behind, 0):,} bytes"
    found["not replayed"] = f"{standby.replay_lag_bytes or 0:,} bytes"
    if standby.last_commit:
        old = _seconds(standby.last_commit, here.taken_at)
        found["last commit"] = f"{standby.last_commit}, {age(max(old, 0.0))} ago"
    found["replayed to"] = here.server.wal_lsn or "unknown"
    return found


def points(here: Snapshot, primary: Snapshot | None) -> Iterator[Point]:
    """What of the primary's commits is not here, or never will be."""
    standby = here.standby
    if standby is None:
        gap = here.gap("standby")
        yield Point(
            "lag-unknown", Severity.UNKNOWN, f"Replay could not be seen: {gap and gap.reason}"
        )
        return
    if standby.replay_paused:
        yield Point(
            "replay-paused",
            Severity.WARNING,
            f"Replay is paused with {standby.replay_lag_bytes or 0:,} bytes to go. A promotion ends the "
            "pause and replays them first: nothing of them is lost, and it takes that much longer.",
            cure=("SELECT pg_wal_replay_resume();",),
        )
    elif (standby.replay_lag_seconds or 0.0) >= LAG and standby.replay_lag_bytes:
        yield Point(
            "replay-behind",
            Severity.WARNING,
            f"{standby.replay_lag_bytes:,} bytes received are not replayed, the oldest of them committed"
            f" {age(standby.replay_lag_seconds or 0.0)} ago or more: the promotion waits for them.",
        )
    if other := _timelines(here, primary):
        yield other
        return  # positions of two timelines are not comparable
    behind = _not_arrived(here, primary)
    if primary and behind is not None and behind > 0:
        yield Point(
            "wal-missing",
            Severity.CRITICAL,
            f"{behind:,} bytes that the primary had written when it was looked at ({primary.taken_at}) "
            f"have not arrived{_older(here, primary)}: what was committed in them is lost, base tables "
            "and TVIEWs alike.",
            cure=("let it catch up, or stop the primary cleanly first",),
        )
    elif not standby.receiving:
        yield Point(
            "not-streaming",
            Severity.UNKNOWN,
            "No WAL is received: what the primary committed since then is not here, and how much that "
            f"is cannot be told from here{_last(here)}.",
        )


def _timelines(here: Snapshot, primary: Snapshot | None) -> Point | None:
    mine = here.standby.timeline if here.standby else None
    its = primary.server.timeline if primary else None
    if mine is None or its is None or mine == its:
        return None
    if mine < its:
        return Point(
            "timeline-old",
            Severity.CRITICAL,
            f"This standby is on timeline {mine}, the primary on {its}: another server was promoted, and "
            "this one did not follow it. Promoted now, it would begin a second history, without anything "
            f"that was committed on timeline {its}.",
            cure=(
                "make it follow the primary, or rewind it: pg_rewind --source-server=…",
                "promote a standby that is on the primary's timeline",
            ),
        )
    return Point(
        "timeline-ahead",
        Severity.CRITICAL,
        f"This standby is on timeline {mine}, what was given as its primary still on {its}: the standby "
        "follows a server that was promoted since, and that other primary goes on writing what nobody "
        "will have.",
        cure=(
            "fence the server on the older timeline",
            "give --primary the server that it follows",
        ),
    )


def _not_arrived(here: Snapshot, primary: Snapshot | None) -> int | None:
    """Bytes that the primary had written and the standby has not; negative: it has newer ones."""
    if primary is None or primary.server.wal_lsn is None or here.server.wal_lsn is None:
        return None
    if here.standby is None:
        return None
    received = lsn(here.server.wal_lsn) + (here.standby.replay_lag_bytes or 0)
    return lsn(primary.server.wal_lsn) - received


def _older(here: Snapshot, primary: Snapshot) -> str:
    last = here.standby.last_commit if here.standby else None
    if last is None:
        return ""
    seconds = _seconds(last, primary.taken_at)
    return f", the last commit here was {age(seconds)} before" if seconds > 0 else ""


def _last(here: Snapshot) -> str:
    last = here.standby.last_commit if here.standby else None
    return f"; the last commit that is here was at {last}" if last else ""


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
