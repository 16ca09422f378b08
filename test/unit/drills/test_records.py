"""The committed records: every drill ran somewhere and passed, and the page says what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema

from pgtv.drills import store
from pgtv.drills.model import State
from pgtv.drills.registry import select

ROOT = Path(__file__).parents[3]
REPORT = ROOT / "test" / "failure-modes" / "report.json"


def test_every_drill_passed_somewhere() -> None:
    report = store.load(REPORT)
    jsonschema.validate(json.loads(REPORT.read_text()), store.schema())
    passed = {o.name for o in report.outcomes if o.state is State.PASSED}
    assert {f"{m.id}/{v.id}" for m, v in select()} - passed == set()
    assert not report.count(State.FAILED)
    assert {o.rows_lost for o in report.outcomes if o.state is State.PASSED} == {0}


def test_the_records_tell_nothing_of_the_machine() -> None:
    for file in REPORT.parent.glob("*.json"):
        text = file.read_text()
        assert "/tmp/" not in text and "/work/" not in text, file


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gen_drills"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
