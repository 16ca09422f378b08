"""Twenty of the recorded crashes again: ten on each major, named points and random ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from servers import require_real

from pgtv.cluster.provider import Local
from pgtv.drills import barriers
from pgtv.drills.crashes import RANDOM, run

RECORDED = Path(__file__).parents[2] / "failure-modes" / "crash-points.json"


@pytest.mark.parametrize("major", [18, 17])
def test_ten_crashes(major: int) -> None:
    done = list(run(Local(require_real(major)), 10, seed=major))
    assert [c.outcome for c in done if c.failed] == []
    assert len(done) == 10
    assert all(c.major == major and c.lsn and c.statement for c in done)


def test_the_trio_is_seen_and_cured() -> None:
    done = list(run(Local(require_real(18)), 4, 5, ("after-prepare-unlogged",)))
    assert {c.outcome for c in done} == {"drift cured", "rolled back"}


def test_the_record_is_of_every_point_on_both_majors() -> None:
    record = json.loads(RECORDED.read_text())
    rows = [dict(zip(record["columns"], c, strict=True)) for c in record["crashes"]]
    assert len(rows) >= 1000
    assert record["commit"]
    for major in (18, 17):
        points = {r["point"] for r in rows if r["major"] == major}
        assert points == {p.id for p in barriers.POINTS} | {RANDOM}
    assert not [r for r in rows if r["outcome"].startswith("failed")]
