"""The committed records: every drill ran somewhere and passed, and the page says what they say."""

from __future__ import annotations

import ast
import json
import random
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pgtv.drills import engine, store
from pgtv.drills.crashes import RANDOM, _choices
from pgtv.drills.model import State
from pgtv.drills.registry import select
from pgtv.drills.statements import Refusal

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
        assert not any(p in text for p in ("/tmp/", "/work/", "/dev/shm/", "/var/cache/")), file


def test_what_is_told_has_no_folder_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PGTV_TEMP", str(tmp_path))
    said = f'no "x" in file "{tmp_path}/cache/real/16-r/lib/x.so", {tmp_path}/pgtv-1a/log'
    told = engine._told(Refusal("pg_restore", said, f"load {tmp_path}/cache/x"))
    assert (told.message, told.statement) == ('no "x" in file "real/16-r/lib/x.so", log', "load x")


def git(folder: Path, *args: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "safe.directory=*")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *args], capture_output=True, text=True, check=True
    ).stdout.strip()


def recorded_commits() -> set[str]:
    report = store.load(REPORT)
    crashes = json.loads((REPORT.parent / "crash-points.json").read_text())
    ran = {o.commit or report.commit for o in report.outcomes if o.state is not State.SKIPPED}
    return {str(c) for c in (*ran, crashes["commit"], *(run["commit"] for run in killed()))}


def killed() -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads((REPORT.parent / "killed.json").read_text())["runs"]
    return runs


def test_every_command_that_applies_was_killed_at_each_statement_on_two_majors() -> None:
    ran = {(run["command"], run["major"]): run for run in killed() if "server" not in run["killed"]}
    tested = ast.parse((ROOT / "test/integration/test_killed.py").read_text())
    (cases,) = [
        node.value for node in tested.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CASES"
    ]  # fmt: skip
    assert isinstance(cases, ast.Dict)
    names = {ast.literal_eval(key) for key in cases.keys if key}
    assert set(ran) == {(name, major) for name in names for major in (18, 17)}
    for run in ran.values():
        at = sorted(n for dies in ("pgtv", "backend") for n in run["killed"][dies])
        assert at == list(range(1, run["statements"] + 1))
    assert {run["command"] for run in killed() if "server" in run["killed"]} == names, (
        "and the server"
    )
    assert {run["outcome"] for run in killed()} == {"right afterwards"}


def test_the_commits_of_the_records_can_be_looked_at() -> None:
    """Each is in the history that leads to what is checked out, with nothing changed beside it."""
    if not (ROOT / ".git").exists() or git(ROOT, "rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("the history is not here")
    history = git(ROOT, "rev-list", "HEAD").split()
    unknown = {c for c in recorded_commits() if not any(h.startswith(c) for h in history)}
    assert not unknown, "record again, on a clean tree"


def test_a_commit_is_told_from_what_was_changed_since(tmp_path: Path) -> None:
    assert store.commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert store.commit(tmp_path) is None
    for folder in ("pgtv", "sql", "test"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "x")
    head = git(tmp_path, "rev-parse", "--short", "HEAD")
    (tmp_path / "test" / "a").write_text("2")  # records are written there, one after the other
    assert store.commit(tmp_path) == head
    (tmp_path / "pgtv" / "a").write_text("2")
    assert store.commit(tmp_path) == f"{head}-dirty"
    git(tmp_path, "checkout", "-q", "pgtv")
    assert store.commit(tmp_path) == head
    (tmp_path / "pgtv" / "new").write_text("")
    assert store.commit(tmp_path) == f"{head}-dirty"


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


def test_what_readers_and_writers_got_is_told_only_where_it_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = store.load(REPORT)
    measured, not_measured = report.outcomes[:2]
    got = {"readers": "waits: 1 of 9 TVIEWs", "writers": "right rows; another table: waits"}
    monkeypatch.setattr(
        store, "load",
        lambda _: replace(report, outcomes=(
            replace(measured, **got), replace(not_measured, readers=None, writers=None),
        )),
    )  # fmt: skip
    tool = runpy.run_path(str(ROOT / "tools" / "gen_drills"), run_name="gen_drills")
    rows = [r for r in tool["matrix"]() if r.startswith("| ")]
    cells = {r.split("`")[1]: r.split(" | ")[2:4] for r in rows if "`" in r}
    assert rows[0].split(" | ")[2:4] == list(got)
    assert cells[measured.name] == list(got.values())
    assert cells[not_measured.name] == ["", ""]


def test_every_drill_that_ran_tells_what_readers_and_writers_got() -> None:
    outcomes = [o for o in store.load(REPORT).outcomes if o.state is not State.SKIPPED]
    assert {o.name for o in outcomes if not o.readers or not o.writers} == set()


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gen_drills"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
