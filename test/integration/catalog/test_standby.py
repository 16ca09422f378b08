"""A streaming standby is looked at like a primary, as far as a standby can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from replicas import replayed
from servers import TEMPLATE, Database, require_real, shop_server, until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Database, Database]]:
    """A primary and its standby, caught up and streaming."""
    with shop_server(require_real(18)) as server, server.standby() as other:
        other.start()
        here, there = Database(server, TEMPLATE), Database(other, TEMPLATE)
        until(lambda: replayed(here, there))
        yield here, there


def test_standby_shows_the_same_tviews(pair: tuple[Database, Database]) -> None:
    primary, standby = pair
    here, there = standby.snapshot(), primary.snapshot()
    assert here.server.in_recovery and not there.server.in_recovery
    assert here.server.system_identifier == there.server.system_identifier
    assert here.standby is not None and here.standby.receiving
    assert here.standby.replay_lag_bytes is not None
    assert [g for g in here.gaps if g.section != "counters"] == []
    assert [(t.label, t.definition, t.plan) for t in here.tviews] == [
        (t.label, t.definition, t.plan) for t in there.tviews
    ]
    assert here.triggers == there.triggers
    assert all(t.valid is None for t in here.tviews)  # an UNLOGGED table tells, which is unreadable
    assert {r.name for r in there.replicas} == {"walreceiver"}


def test_commands_on_a_standby(pair: tuple[Database, Database]) -> None:
    _, standby = pair
    for command in (["status"], ["doctor"], ["snapshot", "save", "-"]):
        done = standby.pgtv(*command)
        assert "Traceback" not in done.stderr
        assert "unexpectedly" not in done.stderr
    status = standby.pgtv("status")
    assert "(standby)" in status.stdout
    assert "public.tv_search" in status.stdout


def test_difference_between_primary_and_standby_is_the_role_only(
    pair: tuple[Database, Database], tmp_path: Path
) -> None:
    primary, standby = pair
    before = tmp_path / "before.json"
    before.write_text(primary.pgtv("snapshot", "save", "-").stdout)
    done = standby.pgtv("snapshot", "diff", str(before), "--format", "json")
    assert '"role"' in done.stdout
    assert '"TVIEW"' not in done.stdout
    assert '"trigger"' not in done.stdout
