"""The scripts and the command on a container image of somebody else's, by whatever name it has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgtv.cluster.container import IMAGE
from pgtv.drills.registry import select

pytestmark = pytest.mark.container
SCRIPTS = Path(__file__).parents[2] / "failure-modes"
ENV = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def image() -> Iterator[str]:
    """A name that pgtv has never heard of."""
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode
    ):
        pytest.skip("no container engine answers, or its image is not made: tools/make-image")
    name = f"my/postgres:18-{os.getpid()}"
    subprocess.run(["docker", "tag", IMAGE, name], check=True)
    yield name
    subprocess.run(["docker", "rmi", name], capture_output=True, check=True)


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        args, env=ENV, capture_output=True, text=True, check=False, timeout=900
    )  # fmt: skip


def test_a_script_alone(image: str) -> None:
    """The one that the README calls with an image; every drill has a server of its own."""
    done = run(str(SCRIPTS / "db-failures/test-crash-recovery.sh"), "--image", image)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"docker, {image}" in done.stderr
    assert sorted(
        x for x in done.stdout.splitlines() if x[:4] in ("PASS", "FAIL", "SKIP")
    ) == sorted(
        f"PASS {m.id}/{v.id} (docker 18): injected, detected, recovered, verified, no row lost"
        for m, v in select(["crash-recovery"])
    )


# a drill in a container can take a minute where others use the machine too
@pytest.mark.whole
def test_the_command(image: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    done = run(
        sys.executable, "-m", "pgtv", "drill", "run", "triggers/dropped", "replication/lag",
        "--image", image, "--json", str(file),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = {
        o["variant"]: (o["provider"], o["state"]) for o in json.loads(file.read_text())["outcomes"]
    }
    assert told == {"dropped": ("docker", "passed"), "lag": ("docker", "skipped")}
