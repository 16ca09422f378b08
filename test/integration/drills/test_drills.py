"""The drills themselves: every one that needs no server of its own, on the real extension."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet
from servers import require_real

from pgtv.cluster.provider import Local
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
# pg_upgrade by the same steps as upgrade/major, and a recovery as backup-restore/point-in-time has it
LONG = ("upgrade/major-16", "upgrade/early-release", "backup-restore/point-in-load")
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


# the first of each mode, and of the others one in four
FIRST = {f"{m.id}/{m.variants[0].id}" for m in all_modes().values()}


def _sample(name: str, *marks: pytest.MarkDecorator) -> ParameterSet:
    some = () if name in FIRST or name in QUICK else (pytest.mark.sampled(4),)
    return pytest.param(name, marks=(*marks, *some))


@pytest.mark.parametrize("name", [_sample(n) for n in SHARED])
def test_on_a_shared_server(stage: Stage, name: str) -> None:
    passes(stage, name)


@pytest.mark.parametrize("name", ON_17)
def test_on_17(stage17: Stage, name: str) -> None:
    passes(stage17, name)


def _lane(name: str) -> tuple[pytest.MarkDecorator, ...]:
    if name in QUICK:
        return ()
    return (pytest.mark.slow, pytest.mark.whole) if name in LONG else (pytest.mark.slow,)


@pytest.mark.parametrize("name", [_sample(n, *_lane(n)) for n in OWN])
def test_on_a_server_of_its_own(stage: Stage, name: str) -> None:
    passes(stage, name)


def test_all_twelve_modes_are_there() -> None:
    assert [m.number for m in all_modes().values()] == list(range(1, 13))
    assert all(m.variants for m in all_modes().values())
