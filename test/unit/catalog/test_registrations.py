"""Catalog rows of any content become values of the model, never exceptions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtv.catalog import codec, model, registrations

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
)
raw = st.dictionaries(
    st.sampled_from(
        ["identity", "function_read_functions", "managed_index_names", "time_refresh", "created_at",
         "needs_reregister", "time_dependent", "uncascaded_policy"]
    ),
    anything,
)  # fmt: skip


def row(**given: Any) -> dict[str, Any]:
    return {
        "entity": "x", "table_oid": 1, "view_oid": 2, "definition": "SELECT", "plan": None,
        "raw": "{}", "uncascaded": None, "function_tables": [None, 3], "registered_age": 0,
    } | given  # fmt: skip


@given(raw, anything | st.just("[" * 3000), anything)
def test_any_row_is_a_tview_that_survives_a_file(raw: Any, plan: Any, options: Any) -> None:
    texts = [v if isinstance(v, str) else json.dumps(v) for v in (raw, plan, options)]
    tview = registrations.tview(row(raw=texts[0], plan=texts[1]), texts[2], None)
    assert isinstance(tview, model.Tview)
    assert tview.identity
    assert list(registrations.plan_relations(tview.plan)) is not None
    snapshot = model.Snapshot("t", "v", model.Server(), model.Extension("current"), (tview,))
    assert codec.loads(codec.dumps(snapshot)) == snapshot


@pytest.mark.parametrize(
    "text", ["9" * 30, "1e999", "[" * 200 + "]" * 200, "[" * 100_000, "{", "nul"]
)
def test_unreadable_json_is_an_error_text(text: str) -> None:
    value, error = registrations.parse(text)
    assert value is None and error
