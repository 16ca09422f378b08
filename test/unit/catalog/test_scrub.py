"""Literals of others' statements never survive, whatever the quoting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtv.catalog.scrub import LENGTH, scrub, without_literals

SECRET = "hunter2Zq"


@pytest.mark.parametrize(
    ("query", "scrubbed"),
    [
        ("ALTER ROLE x PASSWORD 'hunter2Zq'", "ALTER ROLE x PASSWORD ?"),
        ("SELECT \"it's\", 'hunter2Zq'", 'SELECT "it\'s", ?'),
        (r"SELECT 'C:\', 'hunter2Zq'", "SELECT ?"),
        (r"SELECT E'a\'hunter2Zq', 1", "SELECT ?, ?"),
        ("SELECT 1_000, .5, 1e9, 0xFF, $1, t1.x", "SELECT ?, ?, ?, ?, $1, t1.x"),
        ("SET app.token TO hunter2Zq", "SET app.token TO ?"),
        ("ALTER ROLE x SET app.token = hunter2Zq", "ALTER ROLE x SET app.token = ?"),
        ("UPDATE t SET a = b WHERE c = 5", "UPDATE t SET a = b WHERE c = ?"),
        ("/* a /* hunter2Zq */ b */ SELECT 1 -- hunter2Zq", "SELECT ?"),
        ("SELECT $$hunter2Zq$$, $a$ $$ hunter2Zq $a$, U&'hunter2Zq'", "SELECT ?, ?, ?"),
        ("SELECT 'hunter2Zq", "SELECT ?"),
        ("SELECT $a$ hunter2Zq", "SELECT ?"),
        ("SELECT  *\n  FROM tb_user", "SELECT * FROM tb_user"),
    ],
)
def test_examples(query: str, scrubbed: str) -> None:
    assert scrub(query) == scrubbed
    assert SECRET not in (scrub(query) or "")


def test_none_and_length() -> None:
    assert scrub(None) is None
    long = scrub("SELECT " + ", ".join(f"column_{i}" for i in range(200)))
    assert long and len(long) == LENGTH and long.endswith("…")


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\"), max_size=20)


def _quoted(inside: str) -> st.SearchStrategy[str]:
    single = inside.replace("'", "''")
    return st.sampled_from(
        [f"'{single}'", f"E'{single}'", f"$q$ {inside.replace('$', '')} $q$",
         f"/* {inside.replace('*', '').replace('/', '')} */", f"U&'{single}'",
         f"-- {' '.join(inside.splitlines())}\n"]
    )  # fmt: skip


secrets = text.flatmap(lambda around: _quoted(around + SECRET + around[::-1]))
harmless = st.sampled_from(
    ["SELECT", '"ab"', '"it\'s"', "x", ",", "(", ")", "$1", "=", "1.5", "t.c"]
)


@given(st.lists(st.one_of(secrets, harmless), max_size=12), st.integers(0, 400))
def test_no_quoting_lets_a_literal_through(pieces: list[str], cut: int) -> None:
    query = " ".join(pieces)
    assert SECRET not in without_literals(query)
    # the server cuts long statements anywhere
    assert SECRET not in without_literals(query[:cut])


@given(st.text(max_size=60))
def test_any_text_ends(query: str) -> None:
    assert isinstance(without_literals(query), str)
