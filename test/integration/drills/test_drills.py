"""The drills themselves: every one that needs no server of its own, on the real extension."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import require_real

from pgtv.cluster.provider import Local
from pgtv.cluster.verbs import Can
from pgtv.drills.engine import run
from pgtv.drills.model import State
from pgtv.drills.registry import all_modes, select
from pgtv.drills.stage import Stage

SHARED = [
    f"{m.id}/{v.id}"
    for m, v in select()
    if not v.own and v.wish.plain
]  # fmt: skip
OWN = [f"{m.id}/{v.id}" for m, v in select() if v.own or not v.wish.plain]
QUICK = (
    "crash-recovery/unlogged-prepared-crash", "crash-recovery/server-mid-cascade",
    "oom/extension-memory", "upgrade/library-newer",
)  # fmt: skip
# pg_upgrade by the same steps as upgrade/major, with binaries that only --all installs
LONG = ("upgrade/major-16", "upgrade/early-release")
ON_17 = (
    "metadata-corruption/row-gone", "metadata-corruption/plan-unreadable", "circular-deps/plan",
    "triggers/partly-disabled", "queue-corruption/prepared-suspended", "concurrent-ddl/drop-waits",
)  # fmt: skip


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(Local(require_real(18))) as stage:
        yield stage


@pytest.fixture(scope="module")
def stage17() -> Iterator[Stage]:
    with Stage(Local(require_real(17))) as stage:
        yield stage


def passes(stage: Stage, name: str) -> None:
    ((mode, variant),) = select([name])
    outcome = run(stage, mode, variant)
    if outcome.state is State.SKIPPED:
        pytest.skip(outcome.why or "")
    assert outcome.state is State.PASSED, f"{outcome.why}\n{outcome.steps}\n{outcome.errors}"
    assert outcome.injected and outcome.detected and outcome.recovered and outcome.verified
    assert outcome.rows_lost == 0


@pytest.mark.parametrize("name", SHARED)
def test_on_a_shared_server(stage: Stage, name: str) -> None:
    passes(stage, name)


@pytest.mark.parametrize("name", ON_17)
def test_on_17(stage17: Stage, name: str) -> None:
    passes(stage17, name)


def _lane(name: str) -> tuple[pytest.MarkDecorator, ...]:
    if name in QUICK:
        return ()
    return (pytest.mark.slow, pytest.mark.whole) if name in LONG else (pytest.mark.slow,)


@pytest.mark.parametrize("name", [pytest.param(n, marks=_lane(n)) for n in OWN])
def test_on_a_server_of_its_own(stage: Stage, name: str) -> None:
    passes(stage, name)


def test_each_drill_runs_without_being_asked() -> None:
    """By each run of tools/test: here, or in a container where a local server cannot do it."""
    here = Path(__file__)
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider",
         "-m", "not whole", str(here), str(here.parent / "test_containers.py")],
        cwd=here.parents[3], capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"},
    )  # fmt: skip
    ran: dict[str, set[str]] = {}
    for file, name in re.findall(r"(\w+)\.py::.*\[([\w-]+/[\w-]+)\]$", collected.stdout, re.M):
        ran.setdefault(file, set()).add(name)
    assert set(SHARED + OWN) - ran["test_drills"] == set(LONG)
    in_containers = {
        f"{m.id}/{v.id}" for m, v in select() if {Can.NETWORK, Can.MEMORY} & {*v.needs}
    }
    assert in_containers <= ran["test_containers"]


def test_all_twelve_modes_are_there() -> None:
    assert [m.number for m in all_modes().values()] == list(range(1, 13))
    assert all(m.variants for m in all_modes().values())
