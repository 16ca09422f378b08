"""The committed records: every drill ran somewhere and passed, and the page says what they say."""

from __future__ import annotations

import json
import random
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from pgtv.drills import store
from pgtv.drills.crashes import RANDOM, _choices
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
        assert not any(p in text for p in ("/tmp/", "/work/", "/dev/shm/")), file


def test_the_seed_of_the_crashes_chooses_them_again() -> None:
    record = json.loads((REPORT.parent / "crash-points.json").read_text())
    rows = [dict(zip(record["columns"], c, strict=True)) for c in record["crashes"]]
    for major, count in record["majors"].items():
        chosen = [
            (number, point.id if point else RANDOM, kill)
            for number, (point, kill, _) in enumerate(
                _choices(random.Random(record["seed"]), count, ()), 1
            )
        ]
        assert chosen == [
            (r["number"], r["point"], r["kill"]) for r in rows if str(r["major"]) == major
        ]


def test_what_readers_got_is_told_only_where_it_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = store.load(REPORT)
    measured, not_measured = report.outcomes[:2]
    monkeypatch.setattr(
        store, "load",
        lambda _: replace(report, outcomes=(
            replace(measured, readers="waits: 1 of 9 TVIEWs"), replace(not_measured, readers=None),
        )),
    )  # fmt: skip
    tool = runpy.run_path(str(ROOT / "tools" / "gen_drills"), run_name="gen_drills")
    cells = {r.split("`")[1]: r.split(" | ")[2] for r in tool["matrix"]() if r.startswith("| `")}
    assert cells[measured.name] == "waits: 1 of 9 TVIEWs"
    assert cells[not_measured.name] == ""


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gen_drills"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
