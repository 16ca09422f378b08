"""What is said of a promotion, where no servers are needed to bring it about."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from pgtv.catalog.model import Gap, Lock, Prepared, Replica, Snapshot, Standby
from pgtv.errors import Exit, UsageError
from pgtv.lifecycle.promote.preflight import judge
from pgtv.lifecycle.verdict import Point, Verdict

sys.path.insert(0, str(Path(__file__).parents[2] / "repairs"))

from world import snapshot  # noqa: E402

RECEIVING = Standby(True, False, 0.0, 0, timeline=1, last_commit="2026-11-21 23:59:00+00")
MIB = 2**20


def here(standby: Standby | None = RECEIVING, wal: str = "0/5000000", **changes: Any) -> Snapshot:
    """A standby, replayed to `wal`."""
    now = snapshot()
    server = dataclasses.replace(now.server, in_recovery=True, wal_lsn=wal)
    return dataclasses.replace(now, server=server, standby=standby, **changes)


def primary(wal: str = "0/5000000", **changes: Any) -> Snapshot:
    now = snapshot()
    server = dataclasses.replace(now.server, wal_lsn=wal, timeline=1)
    return dataclasses.replace(now, server=server, **changes)


def unlogged(now: Snapshot, *names: str) -> Snapshot:
    relations = (
        dataclasses.replace(r, persistence="u", reltuples=1500.0) if r.name in names else r
        for r in now.relations
    )
    return dataclasses.replace(now, relations=tuple(relations))


def points(verdict: Verdict) -> dict[str, Point]:
    return {p.id: p for p in verdict.points}


def standby(**changes: Any) -> Standby:
    return dataclasses.replace(RECEIVING, **changes)


def test_nothing_is_lost() -> None:
    verdict = judge(here(), primary())
    assert (verdict.exit, verdict.points) == (Exit.HEALTHY, ())
    assert verdict.facts == {
        "server": "standby, streaming, timeline 1", "not arrived": "0 bytes",
        "not replayed": "0 bytes", "last commit": "2026-11-21 23:59:00+00, 60 s ago",
        "replayed to": "0/5000000", "can be read": "all 2 TVIEWs",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "size", "said"),
    [
        (9.9, 3 * MIB, None),  # LAG is ten seconds
        (10.0, 3 * MIB, "3,145,728 bytes received are not replayed, the oldest of them committed 10 s ago"),
        (7200.0, 1, "1 bytes received are not replayed, the oldest of them committed 2 h ago"),
        (7200.0, 0, None),  # nothing was written since: it is not behind
        (None, 3 * MIB, None),
    ],
)  # fmt: skip
def test_lag_in_bytes_and_seconds(seconds: float | None, size: int, said: str | None) -> None:
    behind = standby(replay_lag_seconds=seconds, replay_lag_bytes=size)
    verdict = judge(here(behind), primary())
    assert verdict.facts["not replayed"] == f"{size:,} bytes"
    point = points(verdict).get("replay-behind")
    assert (point is not None) == (said is not None)
    assert verdict.exit is (Exit.WARNING if point else Exit.HEALTHY)
    if point and said:
        assert point.text.startswith(said)


def test_a_pause_is_told_in_place_of_lag() -> None:
    paused = standby(replay_paused=True, replay_lag_seconds=3600.0, replay_lag_bytes=2 * MIB)
    found = points(judge(here(paused), primary()))
    assert set(found) == {"replay-paused"}
    assert "with 2,097,152 bytes to go" in found["replay-paused"].text


def test_what_was_received_counts_as_arrived_and_what_was_not_is_lost() -> None:
    """1 MiB of WAL is to be replayed; the primary is 3 MiB further than what is replayed."""
    behind = standby(replay_lag_seconds=1.0, replay_lag_bytes=MIB)
    verdict = judge(here(behind, wal="0/5000000"), primary(wal="0/5300000"))
    assert (verdict.exit, set(points(verdict))) == (Exit.CRITICAL, {"wal-missing"})
    assert verdict.facts["not arrived"] == "2,097,152 bytes"
    text = points(verdict)["wal-missing"].text
    assert text.startswith("2,097,152 bytes that the primary had written")
    assert "the last commit here was 60 s before" in text


def test_positions_are_compared_beyond_four_gigabytes() -> None:
    verdict = judge(here(wal="1/FFFFFFFF"), primary(wal="2/0"))
    assert verdict.facts["not arrived"] == "1 bytes"


def test_a_standby_that_is_ahead_of_an_older_snapshot_lacks_nothing() -> None:
    verdict = judge(here(wal="0/6000000"), primary())
    assert (verdict.exit, verdict.facts["not arrived"]) == (Exit.HEALTHY, "0 bytes")


@pytest.mark.parametrize("given", [True, False])
def test_not_streaming(given: bool) -> None:
    """Even where all that the primary had written is here: it may have gone on since."""
    verdict = judge(here(standby(receiving=False)), primary() if given else None)
    point = points(verdict)["not-streaming"]
    assert verdict.exit is Exit.UNKNOWN
    assert "the last commit that is here was at 2026-11-21 23:59:00+00" in point.text
    assert verdict.facts["server"] == "standby, not streaming, timeline 1"


def test_missing_wal_is_told_in_place_of_not_streaming() -> None:
    verdict = judge(here(standby(receiving=False)), primary(wal="0/5000001"))
    assert set(points(verdict)) == {"wal-missing"}


def test_replay_that_cannot_be_seen() -> None:
    verdict = judge(here(None, gaps=(Gap("standby", "no privilege"),)), primary())
    assert verdict.exit is Exit.UNKNOWN
    assert points(verdict)["lag-unknown"].text == "Replay could not be seen: no privilege"
    assert verdict.facts["server"] == "standby"


@pytest.mark.parametrize("server", [here, primary])
def test_unlogged_tables_that_tviews_read(server: Any) -> None:
    found = points(judge(unlogged(server(), "tb_customer", "tb_order")))
    point = found["unlogged-bases"]
    assert (point.severity.value, point.objects) == (
        "critical", ("public.tb_customer", "public.tb_order")
    )  # fmt: skip
    assert "unlogged-tviews" not in found


def test_unlogged_tviews_are_filled_again_and_are_no_base_of_each_other() -> None:
    verdict = judge(unlogged(here(), "tv_customer", "tv_order"), primary())
    assert set(points(verdict)) == {"unlogged-tviews"}
    assert "about 3,000 rows" in points(verdict)["unlogged-tviews"].text
    assert verdict.facts["can be read"].startswith("0 of 2 TVIEWs; not the UNLOGGED: ")


@pytest.mark.parametrize("section", ["prepared", "locks"])
def test_prepared_transactions_that_cannot_be_seen(section: str) -> None:
    verdict = judge(here(), primary(gaps=(Gap(section, "hidden"),)))
    assert verdict.exit is Exit.UNKNOWN
    point = points(verdict)["prepared-unseen"]
    assert point.text == "Prepared transactions could not be seen: hidden"


def test_prepared_transactions_of_this_database_by_what_they_wrote() -> None:
    prepared = tuple(
        Prepared(gid, "app", database, "", 10.0, 5)
        for gid, database in (("wrote", "shop"), ("read", "shop"), ("foreign", "elsewhere"))
    )
    locks = (
        Lock(10, "RowExclusiveLock", True, None, "wrote"),
        Lock(10, "AccessShareLock", True, None, "read"),
    )
    of_primary = unlogged(primary(prepared=prepared, locks=locks), "tv_order")
    found = points(judge(here(), of_primary))
    assert set(found) == {"prepared-unlogged", "prepared"}
    assert found["prepared-unlogged"].objects == ("public.tv_order",)  # which reads tv_customer
    assert "'wrote'" in found["prepared-unlogged"].text
    assert "'read'" in found["prepared"].text and "foreign" not in found["prepared"].text


def test_standbys_as_the_primary_sees_them() -> None:
    def of(*replicas: Replica) -> dict[str, Point]:
        return points(judge(primary(replicas=replicas)))

    level = Replica("level", "streaming", "sync", 0.0, 0)
    assert of(level) == {}
    assert set(of()) == set(of(Replica("new", "catchup"))) == {"no-standby"}
    behind = of(level, Replica("far", "streaming", "async", 300.0, 5 * MIB))["standby-behind"]
    assert behind.severity.value == "warning"
    assert behind.text.startswith(
        "Standby far (async) has not replayed 5,242,880 bytes, 5 min behind"
    )


def test_standbys_that_cannot_be_seen() -> None:
    verdict = judge(primary(gaps=(Gap("replicas", "needs pg_monitor"),)))
    assert (verdict.exit, set(points(verdict))) == (Exit.UNKNOWN, {"standbys-unseen"})
    assert "needs pg_monitor" in verdict.points[0].text


def test_another_cluster_is_no_primary() -> None:
    other = primary()
    other = dataclasses.replace(other, server=dataclasses.replace(other.server, database="other"))
    with pytest.raises(UsageError, match="another cluster or database"):
        judge(here(), other)
    with pytest.raises(UsageError, match="is a standby"):
        judge(here(), here())
