"""Twenty of the recorded crashes again: ten on each major, named points and random ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from servers import require_real

from pgtv.cluster.provider import Local
from pgtv.drills import barriers, crashes
from pgtv.drills.barriers import Point
from pgtv.drills.crashes import RANDOM, run
from pgtv.drills.scene import Scene, insert_marker

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "test" / "failure-modes" / "crash-points.json"


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(RECORDED.read_text())
    read["rows"] = [dict(zip(read["columns"], c, strict=True)) for c in read["crashes"]]
    return read


@pytest.mark.both
@pytest.mark.parametrize("major", [18, 17])
def test_ten_crashes(record: dict[str, Any], major: int) -> None:
    recorded = [r for r in record["rows"] if r["major"] == major][:10]
    done = list(run(Local(require_real(major)), 10, record["seed"]))
    assert [c.outcome for c in done if c.failed] == []
    assert [(c.number, c.point, c.kill) for c in done] == [
        (r["number"], r["point"], r["kill"]) for r in recorded
    ]
    assert all(c.major == major and c.lsn and c.statement for c in done)


def test_twenty_are_run_without_being_asked() -> None:
    """By each run of tools/test, which leaves out much of what is the same on both majors."""
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider",
         "-m", "not whole", f"{__file__}::test_ten_crashes"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"},
    )  # fmt: skip
    assert {"test_ten_crashes[18]", "test_ten_crashes[17]"} == {
        line.rpartition("::")[2] for line in collected.stdout.splitlines() if "::" in line
    }, collected.stdout + collected.stderr


def test_the_trio_is_seen_and_cured() -> None:
    done = list(run(Local(require_real(18)), 4, 5, ("after-prepare-unlogged",)))
    assert {c.outcome for c in done} == {"drift cured", "rolled back"}


def _committed(scene: Scene, marker: str) -> None:
    with scene.connect() as session:
        session.execute(insert_marker(marker).encode())


def _not_written(_: Scene, __: str) -> None:
    """Nothing is there, whatever the point says."""


def _half(scene: Scene, marker: str) -> None:
    with scene.connect() as session:
        session.execute("SET session_replication_role = replica")
        session.execute(insert_marker(marker).encode())


@pytest.mark.parametrize(
    ("point", "outcome"),
    [
        (Point("p", "", _committed), "failed: it was kept"),
        (Point("p", "", _not_written, keeps=True), "failed: it was rolled back"),
        (Point("p", "", _half, keeps=True), "failed: marker"),
    ],
)
def test_what_became_of_the_write_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, point: Point, outcome: str
) -> None:
    monkeypatch.setattr(crashes, "POINTS", (point,))
    (done,) = run(Local(require_real(18)), 1, 1, ("p",))
    assert done.outcome.startswith(outcome)


def test_every_point_is_kept_or_rolled_back_as_it_demands() -> None:
    points = tuple(p.id for p in barriers.POINTS)
    crashed = list(run(Local(require_real(18)), len(points), 3, points))
    # what was running, as SQL, also where its session was gone
    assert [c for c in crashed if not re.match(r"[A-Z]{3,} |BEGIN;|COMMIT", c.statement)] == []
    assert {c.point: c.statement for c in crashed}[
        "after-commit-prepared"
    ] == "COMMIT PREPARED 'drill'"
    done = {c.point: c.outcome for c in crashed}
    demanded = {p.id: "kept" if p.keeps else "rolled back" for p in barriers.POINTS}
    either = {p.id for p in barriers.POINTS if p.prepared}
    assert {p: o for p, o in done.items() if p not in either} == {
        p: o for p, o in demanded.items() if p not in either
    }
    assert {done[p] for p in either} <= {"kept", "rolled back", "drift cured"}


def test_the_record_is_of_every_point_on_both_majors(record: dict[str, Any]) -> None:
    rows = record["rows"]
    assert len(rows) >= 1000
    assert record["commit"]
    for major in (18, 17):
        points = {r["point"] for r in rows if r["major"] == major}
        assert points == {p.id for p in barriers.POINTS} | {RANDOM}
    assert not [r for r in rows if r["outcome"].startswith("failed")]
    titles = {p.title for p in barriers.POINTS}
    assert not [r["number"] for r in rows if r["statement"] in titles], "no statement: record anew"
