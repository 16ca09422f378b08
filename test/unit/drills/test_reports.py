"""Reports of drills: the matrix, JUnit, HTML, and files that can be read again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as tree

import jsonschema
import pytest

from pgtv.drills import store
from pgtv.drills.model import Outcome, Report, State
from pgtv.drills.statements import Refusal
from pgtv.errors import Exit, UsageError
from pgtv.reports import drills

PASSED = Outcome(
    "triggers", "dropped", "A trigger is dropped", "local", 18, State.PASSED, True, True, True, True, 0,
    {"prepare": 1.0, "inject": 0.25}, (Refusal("55000", "no\x1b[31m <b>", "UPDATE t"),),
    ("trigger-missing:public.t",), ("SELECT 1;",),
)  # fmt: skip
FAILED = replace(
    PASSED, variant="lost", state=State.FAILED, verified=False, rows_lost=3, why="3 rows lost"
)
SKIPPED = Outcome("oom", "killed", "Killed", "local", 0, State.SKIPPED, why="no container")


def report(*outcomes: Outcome) -> Report:
    return Report("1", "2026-11-22T00:00:00+00:00", "0.1.0-beta.34", outcomes, "abc")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((PASSED,), Exit.HEALTHY),
        ((PASSED, SKIPPED), Exit.HEALTHY),
        ((PASSED, FAILED, SKIPPED), Exit.CRITICAL),
        ((SKIPPED,), Exit.UNKNOWN),
        ((), Exit.UNKNOWN),
    ],
)
def test_exit(outcomes: tuple[Outcome, ...], code: Exit) -> None:
    assert report(*outcomes).exit is code


def test_text() -> None:
    text = drills.text(report(PASSED, FAILED, SKIPPED), 80)
    assert text.splitlines() == [
        "drill             seen  cured  verified  lost  seconds",
        "triggers/dropped  yes   yes    yes          0      1.2",
        "triggers/lost     yes   yes    NO           3      1.2",
        "         3 rows lost",
        "oom/killed        SKIPPED",
        "         no container",
        "",
        "3 drills · 1 passed · 1 failed · 1 skipped",
    ]
    both = drills.text(report(PASSED, replace(PASSED, major=17)), 80)
    assert "triggers/dropped  local 17  yes" in both


def test_junit() -> None:
    root = tree.fromstring(drills.junit(report(PASSED, FAILED, SKIPPED)))
    suites = {s.get("name"): s for s in root}
    assert (suites["triggers"].get("tests"), suites["triggers"].get("failures")) == ("2", "1")
    failure = suites["triggers"].find("testcase/failure")
    assert failure is not None and failure.get("message") == "3 rows lost"
    assert "55000 no[31m <b>" in str(failure.text)
    skipped = suites["oom"].find("testcase/skipped")
    assert skipped is not None and skipped.get("message") == "no container"


def test_html() -> None:
    page = drills.html(report(PASSED, FAILED, SKIPPED))
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "\x1b" not in page
    assert "3 drills · 1 passed · 1 failed · 1 skipped" in page
    assert "by itself" in drills.html(report(replace(PASSED, steps=())))


def test_files_are_of_the_schema_and_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    written = report(PASSED, FAILED, SKIPPED)
    path.write_text(store.dumps(written))
    jsonschema.validate(json.loads(path.read_text()), store.schema())
    assert store.load(path) == written


def test_of_several_reports_the_later_outcome_of_a_drill_counts() -> None:
    again = replace(PASSED, seconds={"prepare": 9.0})
    on_17 = replace(PASSED, major=17)
    old = replace(report(PASSED, on_17, SKIPPED), at="2026-11-22T01:00:00+02:00")
    new = replace(report(again, FAILED), at="2026-11-22T00:00:00+00:00", commit="def")
    for given in ((old, new), (new, old)):  # whichever is named first
        merged = store.merged(given)
        assert merged.outcomes == (
            again, replace(on_17, commit="abc"), replace(SKIPPED, commit="abc"), FAILED
        )  # fmt: skip
        assert (merged.commit, merged.at) == ("def", new.at)
    # once more: what ran first keeps its commit
    newest = replace(report(FAILED), at="2026-11-23T00:00:00+00:00", commit="fed")
    commits = [o.commit for o in store.merged((merged, newest)).outcomes]
    assert commits == ["def", "abc", "abc", None]


def test_of_several_reports_what_was_skipped_later_ran_before() -> None:
    old = replace(report(PASSED), at="2026-11-22T00:00:00+00:00")
    skipped = replace(PASSED, state=State.SKIPPED, why="not built")
    new = replace(report(skipped), at="2026-11-23T00:00:00+00:00", commit="def")
    assert store.merged((old, new)).outcomes == (replace(PASSED, commit="abc"),)
    nowhere = replace(new, outcomes=(replace(skipped, major=0),))
    assert store.merged((old, nowhere)).outcomes == (replace(PASSED, commit="abc"),)
    on_17 = replace(new, outcomes=(replace(skipped, major=17),))
    assert len(store.merged((old, on_17)).outcomes) == 2
    again = replace(
        new, outcomes=(replace(skipped, why="no engine"),), at="2026-11-24T00:00:00+00:00"
    )
    assert [o.why for o in store.merged((new, again)).outcomes] == ["no engine"]
    # and what was skipped and ran later ran
    first = replace(new, at="2026-11-21T00:00:00+00:00")
    assert store.merged((first, old)).outcomes == (PASSED,)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": "pgtv.drill/1"}', '{"schema": "pgtv.drill/1", "outcomes": [{}]}'],
)
def test_what_is_no_report(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="no report"):
        store.load(path)
