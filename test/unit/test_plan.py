"""Plans as files and scripts, and how statements are grouped."""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtv import plan as plans
from pgtv.costing import Cost
from pgtv.errors import UsageError
from pgtv.plan import Done, Left, Plan, Receipt, Step

words = st.text(st.characters(codec="utf-8"), max_size=20)
some = st.lists(words, max_size=3).map(tuple)
steps = st.builds(
    Step, phase=st.sampled_from(plans.PHASES), title=words, statements=some, cures=some,
    role=st.none() | words, locks=some, undo=st.none() | some, note=st.none() | words, tviews=some,
    cost=st.none() | st.builds(Cost, st.none() | st.integers(0), unknown=some),
)  # fmt: skip
made = st.builds(
    Plan, made_at=words, pgtv_version=words, database=words, database_oid=st.integers(0, 2**32 - 1),
    system_identifier=st.none() | words, generation=words,
    steps=st.lists(steps, max_size=3).map(tuple),
    left=st.lists(st.builds(Left, words, words), max_size=2).map(tuple), asked=some,
)  # fmt: skip


@functools.cache
def schema(name: str) -> Any:
    root = Path(__file__).resolve().parents[2]
    return json.loads((root / "schemas" / f"pgtv.{name}.1.json").read_text())


@given(made)
def test_a_plan_survives_its_file(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> None:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    plans.write(plan, path)
    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema("plan"))
    loaded = plans.load_plan(path)
    assert loaded == plan
    assert [s.cost for s in loaded.steps] == [s.cost for s in plan.steps]
    assert path.stat().st_mode & 0o077 == 0


def test_a_receipt_survives_its_file(tmp_path: Path) -> None:
    plan = Plan("now", "0", "d", 1, None, "current", (Step("rows", "t", ("SELECT 1;",)),))
    receipt = Receipt(plan, "now", "me", "pgtv", [Done(1, "SELECT 1;", "now", 1.5, 2, "done")])
    plans.write(receipt, tmp_path / "r.json")
    jsonschema.validate(json.loads((tmp_path / "r.json").read_text()), schema("receipt"))
    assert plans.load_receipt(tmp_path / "r.json") == receipt


def test_what_cannot_be_written_is_told_and_no_device_is_replaced(tmp_path: Path) -> None:
    receipt = Receipt(Plan("", "0", "", 0, "1", "current", ()), "", "me", "pgtv")
    with pytest.raises(UsageError, match=r"cannot write .*: No such file"):
        plans.write(receipt, tmp_path / "nowhere" / "receipt.json")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    plans.write(receipt, pipe)
    assert b'"pgtv.receipt/1"' in os.read(reader, 1 << 16)
    os.close(reader)
    assert pipe.is_fifo()


def test_the_same_work_is_the_same_whenever_it_was_planned() -> None:
    plan = Plan("now", "0", "d", 1, "7", "current", (Step("rows", "t", ("SELECT 1;",)),))
    later = Plan("later", "9", "d", 1, "7", "current", (Step("rows", "t", ("SELECT 1;",)),))
    assert plan.same_work(later)
    elsewhere = Plan("now", "0", "d", 1, "8", "current", plan.steps)
    assert not plan.same_work(elsewhere), "another cluster with the same names"


def test_units_are_transactions_or_single_statements() -> None:
    statements = ("-- why", "SET x = 1;", "BEGIN;", "A;", "-- b\nB;", "COMMIT;", "C;")
    assert list(plans.units(statements)) == [
        ("SET x = 1;",), ("BEGIN;", "A;", "-- b\nB;", "COMMIT;"), ("C;",),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="does not end"):
        list(plans.units(("BEGIN;", "A;")))


@given(made)
def test_no_text_of_a_plan_escapes_its_comment(plan: Plan) -> None:
    """Titles and notes may hold names that a database's owner chose, line breaks included."""
    allowed = {line for s in plan.steps for x in s.statements for line in re.split("[\n\r]", x)}
    allowed |= {"\\set ON_ERROR_STOP on", "SET lock_timeout = '2s';", ""}
    # psql ends a comment at a line feed or a carriage return
    for line in re.split("[\n\r]", plans.script(plan)):
        assert line.startswith("--") or line in allowed or not line.strip()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "pgtv.plan/9"}', "nonsense"])
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p").write_text(text)
    with pytest.raises(UsageError):
        plans.load_plan(tmp_path / "p")
