"""A drill passes only when everything was seen: each thing that is missing fails it, and says so."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import require_real

from pgtv.cluster.provider import Local, Wish
from pgtv.cluster.server import run_as
from pgtv.drills import engine
from pgtv.drills.model import ANY_SERVER, Mode, Outcome, Sees, State, Variant
from pgtv.drills.scene import Scene
from pgtv.drills.stage import Stage
from pgtv.drills.statements import Break
from pgtv.drills.steps import nothing
from pgtv.errors import ClusterError, ConnectError

DRIFT = Break(
    "SET session_replication_role = replica;"
    "UPDATE public.tb_customer SET name = 'drifted' WHERE pk_customer = 5"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many drills here are made so that what they wait for never comes."""
    monkeypatch.setattr("pgtv.drills.engine.DETECT_TIMEOUT", 1.0)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(Local(require_real(18))) as stage:
        yield stage


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DETECT_TIMEOUT", 0.1)
    monkeypatch.setattr(engine, "HEAL_TIMEOUT", 0.1)


def run(stage: Stage, variant: Variant) -> Outcome:
    return engine.run(stage, Mode(0, "test", "Test", "none", (variant,)), variant)


def test_what_is_not_detected_fails(stage: Stage) -> None:
    variant = Variant("v", "", DRIFT, Sees(findings=("trigger-missing",), verify=True))
    outcome = run(stage, variant)
    assert outcome.state is State.FAILED
    assert (outcome.detected, outcome.recovered, outcome.verified) == (False, True, True)
    assert "not seen: finding trigger-missing (there were: drift:public.tv_basket" in str(
        outcome.why
    )


def test_an_error_that_does_not_come_fails(stage: Stage) -> None:
    outcome = run(stage, Variant("v", "", DRIFT, Sees(errors=(("55000", "revision"),))))
    assert outcome.state is State.FAILED
    assert "error 55000" in str(outcome.why)


def test_a_log_line_that_does_not_come_fails(stage: Stage) -> None:
    outcome = run(stage, Variant("v", "", DRIFT, Sees(log=("PANIC",))))
    assert "log line 'PANIC'" in str(outcome.why)


def test_contents_that_had_to_stay_equal_fail(stage: Stage) -> None:
    outcome = run(stage, Variant("v", "", DRIFT, Sees(equal=True)))
    assert "equal contents ({'public.tv_basket': 1" in str(outcome.why)


def test_what_is_not_cured_fails(stage: Stage) -> None:
    outcome = run(stage, Variant("v", "", DRIFT, Sees(findings=("drift",), verify=True), nothing))
    assert outcome.state is State.FAILED
    assert (outcome.detected, outcome.verified) == (True, False)
    assert outcome.rows_lost and "rows lost or wrong" in str(outcome.why)


def test_a_finding_that_stays_fails_unless_it_rightly_does(stage: Stage) -> None:
    broken = Break("ALTER TABLE public.tb_customer DISABLE TRIGGER USER")
    sees = Sees(findings=("trigger-disabled",))
    outcome = run(stage, Variant("v", "", broken, sees, nothing))
    assert "doctor still says trigger-disabled:public.tb_customer" in str(outcome.why)
    last = ("trigger-disabled",)
    outcome = run(stage, Variant("v", "", broken, sees, nothing, lasts=last))
    assert "rows lost or wrong" in str(outcome.why), "what was written meanwhile"

    def brought(scene: Scene) -> None:
        """What was written is there, and nothing that is written from now on will be."""
        scene.do("refresh", "--apply")

    outcome = run(stage, Variant("v", "", broken, sees, brought, lasts=last))
    assert "writes do not arrive" in str(outcome.why)


def test_a_base_row_that_is_lost_fails(stage: Stage) -> None:
    lost = Break('DELETE FROM "Sales Dept".tb_order_line WHERE pk_order_line = 7')
    outcome = run(stage, Variant("v", "", lost, Sees(), nothing))
    assert (outcome.state, outcome.rows_lost) == (State.FAILED, 1)


def test_an_acknowledged_row_that_is_lost_fails(stage: Stage) -> None:
    def inject(scene: Scene) -> None:
        marker = scene.commit_marker()
        scene.sql(f"DELETE FROM public.tb_product WHERE name = '{marker}'")

    outcome = run(stage, Variant("v", "", inject, Sees(), nothing))
    assert (outcome.state, outcome.rows_lost) == (State.FAILED, 1)


def test_a_recovery_that_fails_is_told_with_its_phase(stage: Stage) -> None:
    def recover(scene: Scene) -> None:
        scene.paste("SELECT 1/0;")

    outcome = run(stage, Variant("v", "", DRIFT, Sees(), recover))
    assert (outcome.injected, outcome.recovered) == (True, False)
    assert "recover: psql failed" in str(outcome.why)
    assert "division by zero" in str(outcome.why)


def test_a_defect_of_a_drill_fails_that_drill(stage: Stage) -> None:
    def inject(_: Scene) -> None:
        raise KeyError("x")

    outcome = run(stage, Variant("v", "", inject, Sees()))
    assert outcome.why == "inject: KeyError: 'x'"


def test_what_cannot_be_done_here_is_skipped_with_the_reason(stage: Stage) -> None:
    from pgtv.cluster.verbs import Can

    outcome = run(stage, Variant("v", "", DRIFT, Sees(), needs=(Can.NETWORK,)))
    assert (outcome.state, outcome.injected) == (State.SKIPPED, False)
    assert "not by a network" in str(outcome.why)
    for wish, why in (
        (Wish(release="0.1.0-beta.1"), "0.1.0-beta.1 is here"),
        (ANY_SERVER, "not on"),
    ):
        outcome = run(stage, Variant("v", "", DRIFT, Sees(), wish=wish, majors=(16,)))
        assert outcome.state is State.SKIPPED
        assert why in str(outcome.why)


def test_the_data_are_kept_where_that_is_asked(stage: Stage) -> None:
    stage.keep = True
    try:
        with kept(run(stage, Variant("v", "", DRIFT, Sees(log=("PANIC",)), own=True))):
            pass
        assert run(stage, Variant("v", "", DRIFT, Sees(), own=True)).kept is None
    finally:
        stage.keep = False


@contextlib.contextmanager
def kept(outcome: Outcome) -> Iterator[Path]:
    """The folder of the server that was kept, in which the drill's database is."""
    found = re.fullmatch(r"server folder (\S+), database (drill_\d+_\d+)", outcome.kept or "")
    assert found
    folder = Path(found[1])
    try:
        binaries = require_real(18)
        # the server's own files tell which databases it has: it was stopped by a crash, and stays down
        done = subprocess.run(
            [binaries / "bin" / "postgres", "--single", "-D", folder / "data", "postgres"],
            input=f"SELECT count(*) AS n FROM pg_database WHERE datname = '{found[2]}'\n",
            capture_output=True, text=True, check=True, **run_as(),
        )  # fmt: skip
        assert 'n = "1"' in done.stdout, done.stdout + done.stderr
        yield folder
    finally:
        shutil.rmtree(folder)


def test_a_database_of_a_shared_server_is_kept_and_others_get_a_new_server() -> None:
    def inject(scene: Scene) -> None:
        with scene.connect() as session:
            session.execute("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'drill'")

    with Stage(Local(require_real(18)), keep=True) as stage:
        outcome = run(stage, Variant("v", "", inject, Sees(log=("PANIC",)), nothing))
        with kept(outcome):
            again = run(stage, Variant("v", "", inject, Sees(), nothing))
            assert again.state is State.PASSED, again.why
            assert again.kept is None


def test_what_fails_before_the_injection_fails_that_drill(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, why in (
        (ConnectError("cannot connect: gone"), "prepare: cannot connect: gone"),
        (
            subprocess.TimeoutExpired(["/usr/bin/psql", "-X"], 300),
            "prepare: psql did not end in 300 s",
        ),
        (KeyError("x"), "prepare: KeyError: 'x'"),
    ):
        monkeypatch.setattr(Scene, "begin", _raising(error))
        outcome = run(stage, Variant("v", "", DRIFT, Sees()))
        assert (outcome.state, outcome.injected, outcome.why) == (State.FAILED, False, why)
        monkeypatch.undo()
        monkeypatch.setattr(Local, "make", _raising(error))
        outcome = run(stage, Variant("v", "", DRIFT, Sees(), own=True))
        assert (outcome.state, outcome.why) == (State.FAILED, why)
        monkeypatch.undo()


def test_a_clean_up_that_fails_hides_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    close = Scene.close

    def closed(scene: Scene) -> None:
        close(scene)
        raise ClusterError("still there")

    monkeypatch.setattr(Scene, "close", closed)
    outcome = run(stage, Variant("v", "", DRIFT, Sees(log=("PANIC",)), own=True))
    assert "log line 'PANIC'" in str(outcome.why)
    outcome = run(stage, Variant("v", "", DRIFT, Sees(), own=True))
    assert outcome.why == "clean-up: still there"


def _raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_an_interrupt_is_passed_on(stage: Stage) -> None:
    def inject(_: Scene) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stage, Variant("v", "", inject, Sees()))
