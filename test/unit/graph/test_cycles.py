"""Components, shortest way round and smallest cut, against plain search over random graphs."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pgtv.graph.cycles import components, has_cycle, shortest_round, smallest_cut

GRAPHS = st.dictionaries(st.integers(0, 4), st.sets(st.integers(0, 4), max_size=3), max_size=5)


def _reaches(reads: dict[int, set[int]], start: int) -> set[int]:
    found: set[int] = set()
    pending = list(reads.get(start, ()))
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += reads.get(node, ())
    return found


@settings(max_examples=300, deadline=None)
@given(GRAPHS)
def test_components_are_what_reaches_itself(reads: dict[int, set[int]]) -> None:
    nodes = set(reads) | {r for found in reads.values() for r in found}
    looping = {n for n in nodes if n in _reaches(reads, n)}
    assert has_cycle(reads) == bool(looping)
    found = components(reads)
    assert {n for c in found for n in c} == looping
    for component in found:
        for node in component:
            assert component <= _reaches(reads, node)


@settings(max_examples=300, deadline=None)
@given(GRAPHS)
def test_the_way_round_is_real_and_shortest(reads: dict[int, set[int]]) -> None:
    path = shortest_round(reads)
    assert bool(path) == has_cycle(reads)
    if path:
        assert path[0] == path[-1] and len(set(path[:-1])) == len(path) - 1
        assert all(b in reads[a] for a, b in pairwise(path))
        others = [shortest_round(reads, [n]) for n in reads]
        assert len(path) == min(len(o) for o in others if o)


@settings(max_examples=200, deadline=None)
@given(GRAPHS)
def test_the_cut_is_enough_and_smallest(reads: dict[int, set[int]]) -> None:
    edges = [(a, b) for a, found in reads.items() for b in sorted(found)]
    cut, exact = smallest_cut(reads, edges) if has_cycle(reads) else ((), True)

    def left(without: tuple[tuple[int, int], ...]) -> dict[int, set[int]]:
        return {a: {b for b in found if (a, b) not in without} for a, found in reads.items()}

    assert exact, "few edges: every set was tried"
    assert not has_cycle(left(cut))
    for smaller in combinations(edges, max(0, len(cut) - 1)):
        assert not cut or has_cycle(left(smaller))


def test_a_large_component_is_cut_and_says_that_it_may_be_too_much() -> None:
    reads = {n: {(n + step) % 40 for step in (1, 2, 3, 7)} for n in range(40)}
    cut, exact = smallest_cut(reads, [(a, b) for a, found in reads.items() for b in found])
    assert not exact
    rest = {a: {b for b in found if (a, b) not in cut} for a, found in reads.items()}
    assert not has_cycle(rest)
    assert len(cut) < 100
