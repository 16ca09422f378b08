"""Drills that only a container can run: a real OOM kill, a network that is cut, a small disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from servers import until

from pgtv.cluster.container import IMAGE
from pgtv.cluster.provider import Docker
from pgtv.drills.engine import run
from pgtv.drills.model import State
from pgtv.drills.registry import select
from pgtv.drills.stage import Stage

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode
    ):
        pytest.skip("no container engine answers, or its image is not made: tools/make-image")
    with Stage(Docker(IMAGE)) as stage:
        yield stage


@pytest.mark.parametrize(
    "name",
    [
        "oom/killed", "connection-loss/network-cut", "disk-full/tablespace", "triggers/dropped",
        "crash-recovery/server-mid-cascade", "crash-recovery/backend-mid-cascade",
    ],
)  # fmt: skip
def test_drill(stage: Stage, name: str) -> None:
    ((mode, variant),) = select([name])
    outcome = run(stage, mode, variant)
    assert outcome.state is State.PASSED, f"{outcome.why}\n{outcome.steps}\n{outcome.errors}"
    assert (outcome.provider, outcome.rows_lost) == ("docker", 0)


def test_nothing_is_left(stage: Stage) -> None:
    ((mode, variant),) = select(["connection-loss/network-cut"])
    before = _containers()
    run(stage, mode, variant)
    # other tests may have containers of their own for a while, beside this one
    until(lambda: not _containers() - before, 150)


def _containers() -> set[str]:
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--no-trunc"], capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())
