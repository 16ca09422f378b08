"""A reader that leaves before the end changes no exit code and gets no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def _left_alone(*args: str, cwd: Path) -> tuple[int, str]:
    """Exit code and stderr of `pgtv ARGS` whose standard output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pgtv", *args], stdout=writing, stderr=subprocess.PIPE, cwd=cwd,
            text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writing)
    return done.returncode, done.stderr


def test_the_verdict_stands(tmp_path: Path) -> None:
    file = tmp_path / "bad.sql"
    file.write_text("CREATE TABLE tv_a AS SELECT 1 AS pk_a FROM tv_a;\n")
    read = subprocess.run(
        [sys.executable, "-m", "pgtv", "lint", str(file)], capture_output=True, check=False
    )
    assert read.returncode == 2, read.stdout
    assert _left_alone("lint", str(file), cwd=tmp_path) == (2, "")


def test_more_than_a_buffer(tmp_path: Path) -> None:
    """Longer than any buffer, so that writing fails in the middle and not at the end."""
    file = tmp_path / "many.sql"
    file.write_text(
        "".join(f"CREATE TABLE tv_a{i} AS SELECT 1 AS x FROM tv_a{i};\n" for i in range(2000))
    )
    assert _left_alone("lint", str(file), cwd=tmp_path) == (2, "")


def test_success_stays_success(tmp_path: Path) -> None:
    assert _left_alone("completion", "bash", cwd=tmp_path) == (0, "")
