"""Order and cover of TVIEWs, on a graph made by hand."""

from __future__ import annotations

from pgtv.catalog.model import Tview
from pgtv.graph.edges import Edges


def graph() -> Edges:
    """Base table 9 <- a <- b <- c, and d beside them."""
    tviews = {
        oid: Tview(name, "public", f"tv_{name}", oid, 100 + oid, "", table_name=f"public.tv_{name}")
        for oid, name in ((1, "c"), (2, "b"), (3, "a"), (4, "d"))
    }
    reads = {3: frozenset({9}), 2: frozenset({3}), 1: frozenset({2}), 4: frozenset({9})}
    readers = {9: frozenset({3, 4}), 3: frozenset({2}), 2: frozenset({1})}
    return Edges(readers, reads, tviews)


def test_upstream_comes_first() -> None:
    made = graph()
    assert [t.entity for t in made.in_order(made.tviews.values())] == ["a", "d", "b", "c"]


def test_one_that_another_reaches_is_not_done_twice() -> None:
    made = graph()
    covered = [
        (t.entity, [r.entity for r in below]) for t, below in made.covering(made.tviews.values())
    ]
    assert covered == [("a", ["a", "b", "c"]), ("d", ["d"])]
    part = [made.tviews[1], made.tviews[2]]
    assert [t.entity for t, _ in made.covering(part)] == ["b"]
