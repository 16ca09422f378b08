"""The page of the matrix is the one that the recorded matrix gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_page_is_up_to_date(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "tools" / "gen_faults"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
