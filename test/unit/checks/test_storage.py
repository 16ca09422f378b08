"""Pure parts of the checks on storage and on users' triggers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtv.catalog.model import Tview
from pgtv.checks.lookup_index import lookup_columns
from pgtv.checks.spelled import _folded, _split
from pgtv.checks.tview_empty import unfiltered


@pytest.mark.parametrize(
    ("definition", "certain"),
    [
        ("SELECT pk_a, data FROM tb_a", True),
        ("SELECT a.pk_a FROM tb_a a LEFT JOIN tb_b b ON true", True),
        ("SELECT a.pk_a FROM tb_a a\n LEFT  OUTER\tJOIN tb_b b ON true", True),
        ("SELECT pk_a, 'no where here' AS \"limit\" FROM tb_a -- where\n", True),
        ("SELECT pk_a FROM tb_a WHERE x", False),
        ("SELECT a.pk_a FROM tb_a a JOIN tb_b b ON true", False),
        ("SELECT a.pk_a FROM tb_a a RIGHT JOIN tb_b b ON true", False),
        ("SELECT pk_a FROM tb_a LIMIT 0", False),
        ("SELECT pk_a FROM tb_a GROUP BY 1 HAVING count(*) > 1", False),
    ],
)
def test_unfiltered(definition: str, certain: bool) -> None:
    assert unfiltered(definition) is certain


@given(st.text())
def test_unfiltered_takes_anything(text: str) -> None:
    assert unfiltered(text + " where ") in (True, False)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("tv_a", ["tv_a"]),
        ("Public.TV_A", ["public", "tv_a"]),
        ('"Sales Dept"."Tv.A"', ["Sales Dept", "Tv.A"]),
        ('"a""b"', ['a"b']),
        ("db.public.tv_a", ["public", "tv_a"]),
    ],
)
def test_names_in_function_texts(text: str, names: list[str]) -> None:
    assert [_folded(p.strip()) for p in _split(text)] == names


def test_lookup_columns() -> None:
    plan = {
        "embeds": [{"entity": "b", "lookups": ["fk_b", "pk_a"]}],
        "tables": [{"fanout": {"lookup_col": "fk_c"}}, {"fanout": None}, {}],
        "references": [{"column": "fk_d"}],
    }
    tview = Tview("a", "public", "tv_a", 1, 2, "", identity=("pk_a",), plan=plan)
    assert lookup_columns(tview) == {"fk_b", "fk_c", "fk_d"}


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["embeds", "tables", "references", "lookups", "fanout", "column", "x"]),
        inner,
    ),
)  # fmt: skip


@given(json)
def test_lookup_columns_of_any_plan(plan: object) -> None:
    tview = Tview("a", "public", "tv_a", 1, 2, "", identity=(), plan=plan)
    assert all(isinstance(c, str) for c in lookup_columns(tview))
