"""Which plans the library could read; test/integration/catalog/test_plans.py asks the library."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_examples import BAD, GOOD, READABLE

from pgtv.catalog.plans import problem


@pytest.mark.parametrize("plan", READABLE.values(), ids=READABLE)
def test_readable(plan: Any) -> None:
    assert problem(plan) is None


@pytest.mark.parametrize("plan", BAD.values(), ids=BAD)
def test_not_readable(plan: Any) -> None:
    assert problem(plan)


def test_says_where() -> None:
    plan = json.loads(json.dumps(GOOD))
    plan["tables"][1]["relid"] = None
    assert problem(plan) == "the plan.tables[1].relid is a JSON null, not a whole number"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_never_raises(value: Any) -> None:
    problem(value)
    problem({"version": 3, "tables": value})
    problem({"version": 3, "tables": [{"relid": 1, "table": "t", "kind": value}], "paths": value})
