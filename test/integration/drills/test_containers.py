"""Drills that only a container can run: a real OOM kill, a network that is cut, a small disk."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import naming
from servers import until

from pgtv.cluster import container, reaper
from pgtv.cluster.container import IMAGE
from pgtv.cluster.provider import Docker
from pgtv.drills.engine import run
from pgtv.drills.model import Mode, Sees, State, Variant
from pgtv.drills.registry import select
from pgtv.drills.stage import Stage
from pgtv.drills.statements import Break
from pgtv.drills.steps import nothing

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


# those of crash-recovery run by their script: test_image.py
@pytest.mark.parametrize(
    "name",
    [
        "oom/killed", "oom/killed-in-refresh", "connection-loss/network-cut",
        "connection-loss/packets-dropped", "disk-full/tablespace", "triggers/dropped",
        "replication/promoted", "backup-restore/base-backup",
    ],
)  # fmt: skip
def test_drill(stage: Stage, name: str) -> None:
    ((mode, variant),) = select([name])
    outcome = run(stage, mode, variant)
    if outcome.state is State.SKIPPED:
        pytest.skip(outcome.why or "")
    assert outcome.state is State.PASSED, f"{outcome.why}\n{outcome.steps}\n{outcome.errors}"
    assert (outcome.provider, outcome.rows_lost) == ("docker", 0)


def test_nothing_is_left(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a drill that ended by itself: neither its containers nor who would have removed them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made: set[str] = set()
    begin = reaper.of_container

    def noted(name: str, folder: Path) -> reaper.Reaper:
        made.add(name)
        return begin(name, folder)

    monkeypatch.setattr(container, "of_container", noted)
    ((mode, variant),) = select(["connection-loss/network-cut"])
    run(stage, mode, variant)
    assert len(made) > 1  # the server's, and the client's
    until(lambda: not made & _containers(), 150)
    until(lambda: not _reaped(tmp_path))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.usefixtures("stage")
def test_nothing_is_left_however_the_client_ends(tmp_path: Path, how: signal.Signals) -> None:
    """Neither the server's container nor the one of a distant client, nor a file on this machine."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pgtv", "drill", "run", "--provider", "docker",
         "connection-loss/network-cut"],
        env=os.environ | {"TMPDIR": str(tmp_path), "PGTV_TEMP": str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # the server's, and the client's
        until(lambda: len(_reaped(tmp_path) & _containers()) > 1, 150)
        made = _reaped(tmp_path)
        assert list(tmp_path.iterdir())
        process.send_signal(how)
        assert process.wait(150) == (-signal.SIGKILL if how is signal.SIGKILL else 130)
        until(lambda: not made & _containers(), 150)
        until(lambda: not list(tmp_path.iterdir()))
    finally:
        process.kill()
        process.wait()


def test_what_is_kept_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgtv.drills.engine.DETECT_TIMEOUT", 1.0)  # it never comes
    variant = Variant("v", "", Break("SELECT 1"), Sees(errors=(("XX000", ""),)), nothing)
    with Stage(stage.provider, keep=True) as keeping:
        outcome = run(keeping, Mode(0, "test", "Test", "none", (variant,)), variant)
        assert outcome.readers == "right rows"
    found = re.fullmatch(r"stopped container (\S+), database drill_\d+_\d+", outcome.kept or "")
    assert found
    listed = subprocess.run(
        ["docker", "inspect", "-f", "{{.State.Status}}", found[1]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    subprocess.run(["docker", "rm", "-fv", found[1]], capture_output=True, check=True)
    assert listed.stdout == "exited\n"


def _containers() -> set[str]:
    """Names of all containers of the engine, those of other tests beside this one too."""
    listed = subprocess.run(
        ["docker", "ps", "-a", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())


def _reaped(folder: Path) -> set[str]:
    """Names of containers with files in `folder`, by the processes that wait to remove them."""
    # python -c text name folder; no other process that names the folder is one of these
    return {w[3] for w in naming(folder) if w[4:] and w[1] == "-c" and Path(w[4]).parent == folder}
