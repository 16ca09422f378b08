"""tools/demo where the real extension is installed: to its end, on the extension, nothing left."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from processes import naming
from servers import ROOT, require_real, until

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_tour_on_the_real_extension() -> None:
    require_real(18)
    # as people start it, not with what tools/test sets for the wheel
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONSAFEPATH", "PGTV_TEST_WHEEL")}
    done = subprocess.run(
        ["sh", str(ROOT / "tools/demo")],
        env=env, cwd="/", capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "with the real extension" in done.stdout
    wrong, _, healthy = done.stdout.partition("Healthy again")
    assert wrong.count("\nCRITICAL") >= 4
    for check in ("trigger-missing", "trigger-disabled", "registration-missing", "drift"):
        assert re.search(rf"^CRITICAL  {check}\b", wrong, re.MULTILINE), check
    assert healthy and "CRITICAL" not in healthy and "WARNING" not in healthy
    assert "The server is stopped and its files are removed." in healthy
    picture = re.search(r"^The same as a picture: (.+)$", healthy, re.MULTILINE)
    assert picture and "<svg" in Path(picture[1]).read_text()
    place = re.search(r"^shop on (\S+):\d+ ", done.stdout, re.MULTILINE)
    assert place, done.stdout[:1000]
    # who would have removed them, had it been killed, may still be ending
    until(lambda: not Path(place[1]).exists() and not naming(place[1]))
