"""Where two documents differ: complete, exact, and readable back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtv.rows.paths import at, differences, join, parse, render, split

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
steps = st.lists(texts | st.integers(0, 99), min_size=1, max_size=6).map(
    lambda s: [str(s[0]), *s[1:]]
)


def diff(expected: str | None, found: str | None) -> list[Any]:
    return list(differences([("data", True)], [expected], [found], limit=1000)[0])


@given(steps)
def test_paths_are_read_back(path: list[str | int]) -> None:
    assert split(join(path)) == path


@given(values)
def test_parsing_and_rendering_lose_nothing(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(render(parse(text))) == value


@given(values, values)
def test_each_difference_is_where_it_says_and_the_rest_is_equal(left: Any, right: Any) -> None:
    expected, found = json.dumps(left), json.dumps(right)
    documents = {"data": parse(expected)}, {"data": parse(found)}
    patched = json.loads(json.dumps({"data": right}))
    diffs = diff(expected, found)
    for d in diffs:
        for document, text in zip(documents, (d.expected, d.found), strict=True):
            path = split(d.path)
            if text is None:
                with pytest.raises(LookupError):
                    at(document, path)
            else:
                assert render(at(document, path)) == text
    # put the definition's values in, last places first: that must give the definition's document
    for d in reversed(diffs):
        _put(patched, split(d.path), d.expected)
    assert render(parse(json.dumps(patched["data"]))) == render(parse(expected)) or _same(
        patched["data"], left
    )
    assert bool(diffs) == (expected != found)


def _put(document: Any, path: list[str | int], text: str | None) -> None:
    *most, last = path
    for step in most:
        document = document[step]
    if text is None:
        del document[last]
    elif isinstance(document, list) and isinstance(last, int) and last >= len(document):
        document.extend([None] * (last + 1 - len(document)))
        document[last] = json.loads(text)
    else:
        document[last] = json.loads(text)


def _same(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


@pytest.mark.parametrize(
    ("expected", "found", "where"),
    [
        ('{"a": 1.0}', '{"a": 1.00}', [("data.a", "1.0", "1.00")]),
        ('{"a": 1}', '{"a": "1"}', [("data.a", "1", '"1"')]),
        ('{"a": {"b": [1, 2]}}', '{"a": {"b": [1, 3, 4]}}',
         [("data.a.b[1]", "2", "3"), ("data.a.b[2]", None, "4")]),
        ('{"a b": null}', "{}", [('data["a b"]', "null", None)]),
        ("[]", "{}", [("data", "[]", "{}")]),
        (None, "{}", [("data", "NULL", "{}")]),
        ('{"a": 1}', '{"a":1}', [("data", '{"a": 1}', '{"a":1}')]),
        ('{"a": 1, "a": 2}', '{"a": 2}', [("data", '{"a": 1, "a": 2}', '{"a": 2}')]),
        ("not json", "{}", [("data", "not json", "{}")]),
    ],
)  # fmt: skip
def test_examples(expected: str | None, found: str | None, where: list[Any]) -> None:
    assert [(d.path, d.expected, d.found) for d in diff(expected, found)] == where


def test_columns_that_hold_no_json_and_values_too_large() -> None:
    columns = [("a", False), ("b c", False), ("big", True), ("same", True)]
    shown, total = differences(columns, ["1", None, [9], "x"], ["1", "2", [9], "x"])
    assert [(d.path, d.expected, d.found) for d in shown] == [
        ('["b c"]', "NULL", '"2"'),
        ("big", "(9 bytes)", "(9 bytes)"),
    ]
    assert total == 2


def test_the_places_shown_are_bounded_and_counted() -> None:
    expected, found = json.dumps(list(range(50))), json.dumps(list(range(1, 51)))
    shown, total = differences([("data", True)], [expected], [found], limit=3)
    assert (len(shown), total) == (3, 50)


def test_a_document_deeper_than_the_stack() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert len(diff(deep, "[]")) == 1
