"""What writers get is measured: by the application's role, on rows that nobody holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import require_real

from pgtv.cluster.provider import Local, Wish
from pgtv.drills import early, readers, triggers, writers
from pgtv.drills.engine import run
from pgtv.drills.model import State
from pgtv.drills.readers import READER
from pgtv.drills.registry import select
from pgtv.drills.scene import Scene
from pgtv.drills.stage import Stage


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
        (triggers.DROPPED.sql, "not brought; another table: right rows"),
        (triggers.FLUSH_DISABLED.sql, "55000; another table: right rows"),
        ("DROP TABLE public.tv_stock CASCADE", "right rows; another table: not brought"),
        ("ALTER DATABASE {} SET default_transaction_read_only = on", "25006"),
        (f"ALTER ROLE {READER} NOLOGIN", "no login"),
    ],
)
def test_damage(scene: Scene, damage: str, got: str) -> None:
    try:
        scene.sql(damage.replace("{}", scene.name))
        assert writers.write(scene, READER) == got
    finally:
        scene.server.psql(f"ALTER ROLE {READER} LOGIN")


def test_a_writer_who_waits(scene: Scene) -> None:
    scene.open().execute("BEGIN; LOCK TABLE public.tb_stock_move")
    assert writers.write(scene, READER) == "right rows; another table: waits"


def test_nothing_is_claimed_where_nothing_was_noted(scene: Scene) -> None:
    scene.read_before = {}
    assert writers.write(scene, READER) is None


def test_an_early_release_is_measured_too() -> None:
    folder = require_real(early.MAJOR, early.RELEASE)
    wish = Wish(major=early.MAJOR, release=early.RELEASE)
    with Stage(Local(folder)) as stage, stage.scene(wish, own=True) as scene:
        scene.read_before = readers.note(scene)
        assert len(scene.read_before) == 3
        assert readers.read(scene, READER) == "right rows"
        assert writers.write(scene, READER) == "right rows"
        scene.sql(
            "SET session_replication_role = replica; UPDATE public.tb_customer SET name = 'x'"
        )
        assert readers.read(scene, READER) == "wrong rows: 1 of 3 TVIEWs"


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("queue-corruption/prepared-orphan", "right rows"),
        ("metadata-corruption/plan-unreadable", "XX000"),
        ("crash-recovery/server-mid-cascade", "no login"),
    ],
)
def test_drill(stage: Stage, name: str, got: str) -> None:
    ((mode, variant),) = select([name])
    outcome = run(stage, mode, variant)
    assert outcome.state is State.PASSED, outcome.why
    assert outcome.writers == got
