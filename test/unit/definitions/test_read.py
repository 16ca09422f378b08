"""What definitions read: by example for each construct, by property for what is composed of them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtv.definitions.parse import select
from pgtv.definitions.reads import EXISTENCE, Reads, Use
from pgtv.definitions.walk import read
from pgtv.errors import DefinitionError

TABLES = {
    "a": ["pk_a", "x", "fk_b"],
    "b": ["pk_b", "y", "fk_a"],
    "c": ["pk_c", "z"],
}


def known(relation: tuple[str | None, str]) -> list[str] | None:
    return TABLES.get(relation[1])


def outputs(reads: Reads) -> dict[str | None, set[str]]:
    return {
        o.name: {f"{r}.{c}" for (_, r), c in o.columns if c != EXISTENCE} for o in reads.outputs
    }


def uses(reads: Reads) -> dict[str, set[str]]:
    return {f"{r}.{c}": {str(u) for u in found} for ((_, r), c), found in reads.columns.items()}


def rows(reads: Reads) -> set[str]:
    return {f"{r}.{c}" for (_, r), c in reads.rows if c != EXISTENCE}


def test_columns_and_how_they_are_used() -> None:
    reads = read(
        "SELECT a.pk_a, upper(b.y) AS u, count(*) FROM a JOIN s.b ON b.fk_a = a.pk_a AND b.y > '0'"
        " WHERE a.x = 1 GROUP BY a.pk_a, b.y ORDER BY a.fk_b"
    )
    assert set(reads.relations) == {(None, "a"), ("s", "b")}
    assert uses(reads) == {
        "a.pk_a": {"join", "group", "output"},
        "b.fk_a": {"join"},
        "b.y": {"join", "group", "output"},
        "a.x": {"filter"},
        "a.fk_b": {"order"},
    }
    assert outputs(reads) == {"pk_a": {"a.pk_a"}, "u": {"b.y"}, "count": set()}
    assert [f.name for f in reads.functions] == ["upper", "count"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT q.o FROM (SELECT pk_a AS o FROM a) q", {"o": {"a.pk_a"}}),
        ("WITH q AS (SELECT x FROM a) SELECT x FROM q", {"x": {"a.x"}}),
        # a CTE hides a table of its name, but not one with a schema
        ("WITH b AS (SELECT x AS y FROM a) SELECT b.y FROM b", {"y": {"a.x"}}),
        ("WITH b AS (SELECT x FROM a) SELECT b.y FROM s.b", {"y": {"b.y"}}),
        # an inner WITH hides an outer one, and only inside
        (
            "WITH q AS (SELECT x AS v FROM a) SELECT q.v, (WITH q AS (SELECT y AS v FROM b)"
            " SELECT max(q.v) FROM q) AS w FROM q",
            {"v": {"a.x"}, "w": {"b.y"}},
        ),
        (
            "WITH RECURSIVE r(k, n) AS (SELECT pk_a, x FROM a UNION ALL"
            " SELECT b.pk_b, r.n FROM b JOIN r ON r.k = b.fk_a) SELECT k, n FROM r",
            {"k": {"a.pk_a", "b.pk_b"}, "n": {"a.x"}},
        ),
        ("SELECT pk_a FROM a UNION ALL SELECT pk_b FROM b", {"pk_a": {"a.pk_a", "b.pk_b"}}),
        ("SELECT to_jsonb(t) AS j FROM a t", {"j": {"a.*"}}),
        ("SELECT t.* FROM a t", {"pk_a": {"a.pk_a"}, "x": {"a.x"}, "fk_b": {"a.fk_b"}}),
        ("SELECT j.y FROM (a JOIN b ON b.fk_a = a.pk_a) AS j", {"y": {"b.y"}}),
        ("SELECT t.p FROM a AS t(p, q)", {"p": {"a.pk_a"}}),
        (
            "SELECT l.m FROM a, LATERAL (SELECT max(y) AS m FROM b WHERE b.fk_a = a.pk_a) l",
            {"m": {"b.y"}},
        ),
        # what only a filter of the sub-select needs makes the value, too
        (
            "SELECT (SELECT max(y) FROM b WHERE b.fk_a = a.pk_a) AS m FROM a",
            {"m": {"b.y", "b.fk_a", "a.pk_a"}},
        ),
        ("SELECT f.v FROM a, unnest(ARRAY[a.x]) AS f(v)", {"v": {"a.x"}}),
        ("SELECT pk_a, y FROM a NATURAL JOIN b", {"pk_a": {"a.pk_a"}, "y": {"b.y"}}),
        ("SELECT CASE WHEN x > 0 THEN fk_b END AS k FROM a", {"k": {"a.x", "a.fk_b"}}),
        ("SELECT rank() OVER (ORDER BY x) AS r FROM a", {"r": {"a.x"}}),
        ("VALUES (1, 2)", {"column1": set(), "column2": set()}),
        ('SELECT "T"."Größe" AS g FROM "S p"."T x" AS "T"', {"g": {"T x.Größe"}}),
    ],
)
def test_where_outputs_come_from(query: str, expected: dict[str, set[str]]) -> None:
    assert outputs(read(query, known)) == expected


def test_what_decides_which_rows_there_are() -> None:
    assert rows(read("SELECT pk_a FROM a WHERE x > 0", known)) == {"a.x"}
    assert rows(read("SELECT DISTINCT x FROM a", known)) == {"a.x"}
    assert rows(read("SELECT pk_a FROM a ORDER BY x LIMIT 1", known)) == {"a.x"}
    assert rows(read("SELECT pk_a FROM a ORDER BY x", known)) == set()
    assert rows(read("SELECT x, count(*) FROM a GROUP BY 1", known)) == {"a.x"}


def test_a_table_without_a_column_of_its_own_counts() -> None:
    reads = read("SELECT a.pk_a FROM a CROSS JOIN c", known)
    assert {r for (_, r), _ in reads.rows} == {"a", "c"}
    unread = read("WITH q AS (SELECT * FROM c) SELECT pk_a FROM a", known)
    assert {r for (_, r), _ in unread.rows} == {"a"}
    assert (None, "c") in unread.relations


def test_unqualified_names_go_outward_only_when_they_have_to() -> None:
    own = read("SELECT pk_a, (SELECT max(y) FROM b) FROM a", known)
    assert not own.levels[1].correlated
    outer = read("SELECT pk_a, (SELECT max(y) FROM b WHERE fk_a = pk_a) FROM a", known)
    assert outer.levels[1].correlated
    # without a catalog it may be either, and is taken for a reference outward
    assert read("SELECT pk_a, (SELECT max(y) FROM b) FROM a").levels[1].correlated


def test_levels() -> None:
    reads = read(
        "SELECT DISTINCT ON (a.x) a.x, row_number() OVER (PARTITION BY a.x) FROM a"
        " WHERE EXISTS (SELECT 1 FROM b WHERE b.fk_a = a.pk_a LIMIT 1) ORDER BY a.x, a.pk_a LIMIT 5"
    )
    top, inner = reads.levels
    assert top.place == "top" and top.limit is not None and top.ordered
    assert [partitioned for _, partitioned in top.windows] == [True]
    assert len(top.distinct_on) == 1 and top.distinct_sorted
    assert inner.place == "EXISTS" and inner.correlated and inner.relations and not inner.ordered


def test_locations_are_bytes_of_the_text() -> None:
    text = "SELECT 'é' AS a, random() AS r FROM t"
    (call,) = read(text).functions
    assert text.encode()[call.location :].startswith(b"random")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("INSERT INTO t VALUES (1)", "another statement"),
        ("SELECT 1 INTO t", "another statement"),
    ],
)
def test_what_is_no_definition(text: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        read(text)


def test_the_position_of_a_syntax_error_counts_characters() -> None:
    with pytest.raises(DefinitionError) as caught:
        select("SELECT 'éé' FROM FROM t")
    assert caught.value.position == len("SELECT 'éé' FROM ")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(DefinitionError):
        read(text)


# Queries composed of known parts: (SQL, tables that it reads, base columns of its output "o").
Query = tuple[str, frozenset[str], frozenset[str]]


def _base() -> st.SearchStrategy[Query]:
    pairs = [(t, c) for t, columns in TABLES.items() for c in columns]
    return st.sampled_from(pairs).map(
        lambda p: (
            f"SELECT t.{p[1]} AS o FROM {p[0]} t",
            frozenset({p[0]}),
            frozenset({".".join(p)}),
        )
    )


def _wrapped(inner: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    def sub(q: Query) -> Query:
        return f"SELECT s.o FROM ({q[0]}) s", q[1], q[2]

    def cte(q: Query) -> Query:
        return f"WITH w AS ({q[0]}) SELECT w.o FROM w", q[1], q[2]

    def cte_hiding(q: Query) -> Query:
        return f"WITH c AS ({q[0]}) SELECT c.o FROM c", q[1], q[2]

    def union(pair: Any) -> Query:
        (a, at, ac), (b, bt, bc) = pair
        return f"({a}) UNION ALL ({b})", at | bt, ac | bc

    def join(pair: Any) -> Query:
        (a, at, ac), (b, bt, _) = pair
        return f"SELECT l.o FROM ({a}) l JOIN ({b}) r ON r.o = l.o", at | bt, ac

    def lateral(pair: Any) -> Query:
        (a, at, _), (b, bt, bc) = pair
        return f"SELECT m.o FROM ({a}) l, LATERAL (SELECT r.o FROM ({b}) r) m", at | bt, bc

    def expression(q: Query) -> Query:
        return f"SELECT coalesce(upper(s.o::text), '') AS o FROM ({q[0]}) s", q[1], q[2]

    one = st.one_of(*(inner.map(f) for f in (sub, cte, cte_hiding, expression)))
    two = st.one_of(*(st.tuples(inner, inner).map(f) for f in (union, join, lateral)))
    return one | two


@settings(max_examples=200, deadline=None)
@given(st.recursive(_base(), _wrapped, max_leaves=8))
def test_composed_queries(query: Query) -> None:
    text, tables, columns = query
    for catalog in (None, known):
        reads = read(text, catalog)
        assert {name for _, name in reads.relations} == tables
        assert outputs(reads) == {"o": set(columns)}
        for column in columns:
            assert Use.OUTPUT in reads.columns[(None, column.split(".")[0]), column.split(".")[1]]
