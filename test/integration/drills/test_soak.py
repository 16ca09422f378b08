"""A short soak: every fault is found and cured beside a load, and nothing acknowledged is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from servers import require_real

from pgtv.checks.registry import all_checks
from pgtv.cluster.provider import Local, Wish
from pgtv.drills import soak
from pgtv.drills.crash_recovery import DURABLE
from pgtv.drills.scene import Scene, insert_marker
from pgtv.drills.stage import Stage
from pgtv.drills.statements import Break

NOTHING = Break("SELECT 1")


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Stage(Local(require_real(18))) as stage, stage.scene(Wish(DURABLE), own=True) as scene:
        scene.begin()
        yield scene


def test_rounds() -> None:
    rounds = list(soak.run(Local(require_real(18)), 0.1, seed=4))
    assert rounds
    assert [r.problem for r in rounds if r.problem] == []
    assert sum(r.committed for r in rounds) > 0


def test_a_fault_that_doctor_does_not_name_ends_it(scene: Scene) -> None:
    found, problem = soak._cure(scene, soak.Fault("nothing", NOTHING, "trigger-missing"))
    assert (found, problem) == ((), "doctor did not say trigger-missing (it said: nothing)")


def test_an_acknowledged_row_that_is_gone_ends_it(scene: Scene) -> None:
    marker = scene.commit_marker()
    scene.sql(f"DELETE FROM public.tb_product WHERE name = '{marker}'")
    _, problem = soak._cure(scene, soak.Fault("nothing", NOTHING))
    assert problem and "acknowledged rows are gone" in problem


def test_a_row_that_nobody_committed_ends_it(scene: Scene) -> None:
    scene.sql(insert_marker(f"{soak.NOBODY} 1"))
    _, problem = soak._cure(scene, soak.Fault("nothing", NOTHING))
    assert problem == f"what a dead client had not committed is there: {soak.NOBODY} 1"


@pytest.mark.parametrize(
    "fault",
    ["client killed", "prepared, UNLOGGED, crash", "committed while suspended"],
)
def test_a_fault_is_found_and_cured(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(soak, "FAULTS", tuple(f for f in soak.FAULTS if f.id == fault))
    monkeypatch.setattr(soak, "LOADED", 0.4)
    done = soak._round(scene, 1, random.Random(3))
    assert (done.fault, done.problem) == (fault, None)
    if fault.startswith("prepared"):
        assert "drift:public.tv_search" in done.found


def test_checks_that_faults_name_exist() -> None:
    assert {f.check for f in soak.FAULTS if f.check} <= set(all_checks())


@pytest.mark.whole
@pytest.mark.parametrize("major", [18, 17])
def test_three_minutes(major: int) -> None:
    rounds = list(soak.run(Local(require_real(major)), 3, seed=major))
    assert [(r.fault, r.problem) for r in rounds if r.problem] == []
