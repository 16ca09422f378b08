"""What readers get is measured: by an ordinary role that logs in and reads every TVIEW."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import require_real

from pgtv.cluster.provider import Local, Wish
from pgtv.drills import readers
from pgtv.drills.engine import run
from pgtv.drills.model import State
from pgtv.drills.readers import READER
from pgtv.drills.registry import select
from pgtv.drills.scene import Scene
from pgtv.drills.stage import Stage

HOLD = "BEGIN; LOCK TABLE public.tv_basket"
BYPASS = "SET session_replication_role = replica; "


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(Local(require_real(18))) as stage:
        yield stage


@pytest.fixture
def scene(stage: Stage) -> Iterator[Scene]:
    with stage.scene(Wish(), own=False) as scene:
        scene.read_before = readers.note(scene)
        yield scene


@pytest.mark.parametrize(
    ("damage", "got"),
    [
        ("SELECT 1", "right rows"),
        ("UPDATE public.tb_customer SET name = 'x'", "right rows"),
        (BYPASS + "UPDATE public.tb_category SET name = 'x'", "rows of before: 2 of 9 TVIEWs"),
        (BYPASS + 'DELETE FROM "Sales Dept".tv_order', "wrong rows: 1 of 9 TVIEWs"),
        ("DROP TABLE public.tv_basket CASCADE", "42P01: 1 of 9 TVIEWs"),
        (f"ALTER ROLE {READER} NOLOGIN", "no login"),
    ],
)
def test_damage(scene: Scene, damage: str, got: str) -> None:
    try:
        with scene.connect() as session:
            session.execute(damage.encode())
        assert readers.read(scene, READER) == got
    finally:
        scene.sql(f"ALTER ROLE {READER} LOGIN")


def test_a_reader_who_waits_comes_before_one_who_gets_rows(scene: Scene) -> None:
    scene.sql(BYPASS + "UPDATE public.tb_category SET name = 'x'")
    scene.open().execute(HOLD)
    assert readers.read(scene, READER) == "waits: 1 of 9 TVIEWs"


def test_nothing_is_claimed_where_nothing_was_noted(scene: Scene) -> None:
    scene.read_before = {}
    assert readers.read(scene, READER) is None


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("queue-corruption/prepared-suspended", "waits"),
        # the DROP waits for the base table, as does whoever reads that: TVIEWs can be read
        ("concurrent-ddl/drop-waits", "rows of before: 3 of 9 TVIEWs"),
        ("concurrent-ddl/alter-during-refresh", "waits"),
        ("concurrent-ddl/dropped-meanwhile", "42P01: 1 of 9 TVIEWs"),
        ("queue-corruption/prepared-orphan", "right rows"),
        ("triggers/bypassed", "wrong rows: 3 of 9 TVIEWs"),
        ("oom/lock-table", "no login"),
        ("connection-loss/used-up", "no login"),
        ("crash-recovery/server-mid-cascade", "no login"),
        ("crash-recovery/backend-mid-cascade", "right rows"),
    ],
)
def test_drill(stage: Stage, name: str, got: str) -> None:
    ((mode, variant),) = select([name])
    outcome = run(stage, mode, variant)
    assert outcome.state is State.PASSED, outcome.why
    assert outcome.readers and outcome.readers.startswith(got)
