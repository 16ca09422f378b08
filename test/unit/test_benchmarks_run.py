"""benchmarks/run: the verdict on each, and on all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MET = "print('{}'); print('all goals met')"
SKIPPED = "print('SKIPPED: the extension is not installed')"
MISSED = "import sys; print('{}'); sys.exit(1)"
FAILED = "raise ValueError('no such thing')"


def verdicts(root: Path, folder: Path, *arguments: str, **scripts: str) -> tuple[int, list[str]]:
    """Exit code and the lines at the end of benchmarks/run with these scripts beside it."""
    shutil.copy(root / "benchmarks/run", folder / "run")
    for name, script in scripts.items():
        (folder / f"{name}.py").write_text(script)
    done = subprocess.run(
        [sys.executable, str(folder / "run"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.rpartition("\n\n")[2].splitlines()


@pytest.mark.parametrize(
    ("lint", "code", "verdict"),
    [(MET, 0, "met"), (SKIPPED, 0, "SKIPPED"), (MISSED, 1, "MISSED"), (FAILED, 1, "FAILED")],
)
def test_one_that_missed_its_goal_is_told(
    root: Path, tmp_path: Path, lint: str, code: int, verdict: str
) -> None:
    got = verdicts(root, tmp_path, verify=MET, doctor=MET, lint=lint)
    assert got[0] == code
    assert [line.split()[:2] for line in got[1][:2]] == [["verify", "met"], ["doctor", "met"]]
    assert got[1][2].split()[0] == "lint" and verdict in got[1][2]


def test_those_that_are_named_run(root: Path, tmp_path: Path) -> None:
    code, said = verdicts(root, tmp_path, "repair", repair=MISSED)
    assert code == 1
    assert [line.split()[:-2] for line in said] == [
        ["repair", "MISSED"],
        ["repair", "--load", "MISSED"],
    ]
    assert verdicts(root, tmp_path, "nothing")[0] == 3


def test_what_they_found_is_kept_where_it_is_wished(root: Path, tmp_path: Path) -> None:
    lint = """import json; print(json.dumps({"ratio": 4.2}))"""
    assert verdicts(root, tmp_path, "lint", lint=lint)[0] == 0
    assert not (tmp_path / "results").exists()
    assert verdicts(root, tmp_path, "lint", "--keep", lint=lint)[0] == 0
    kept = json.loads((tmp_path / "results/lint.json").read_text())
    assert kept["runs"] == [{"ratio": 4.2}] and "commit" in kept
