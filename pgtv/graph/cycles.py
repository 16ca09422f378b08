"""Cycles: TVIEWs that read themselves through each other, helper views or materialized views.

Asking whether there is one needs no networkx; naming the components, a path and the smallest cut
does, and imports it only then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb
from typing import TypeVar

from pgtv.catalog.model import Snapshot, Tview
from pgtv.graph.edges import Edges, planned_relations

N = TypeVar("N", int, str)

# An exact cut is searched as long as this many sets of edges cover all that may have to be tried:
# about a second of work.
TRIES = 20_000


@dataclass(frozen=True)
class Cycle:
    """One strongly connected component with more than itself to read.

    Relations are OIDs. path: the shortest way round, from a TVIEW where there is one, its first
    relation repeated at the end; each reads the next. cut: (reader, read) pairs without which the
    component has no cycle. exact: whether no smaller cut exists.
    """

    members: tuple[int, ...]
    path: tuple[int, ...]
    cut: tuple[tuple[int, int], ...]
    exact: bool = True

    def tview_path(self, tviews: Collection[int]) -> tuple[int, ...]:
        """The path with only TVIEWs left; the whole path where that would leave nothing."""
        kept = tuple(oid for oid in self.path if oid in tviews)
        return kept if len(kept) > 1 else self.path


def describe(cycle: Cycle, snapshot: Snapshot, *, helpers: bool = False) -> str:
    """`tv_a -> tv_b -> tv_a`: each reads the next; helper views too where `helpers` is set.

    Names stand without their schema as long as that leaves them distinct.
    """
    path = cycle.path if helpers else cycle.tview_path(snapshot.tview_by_table)
    return " -> ".join(short_names(snapshot, path)[oid] for oid in path)


def short_names(snapshot: Snapshot, oids: Iterable[int]) -> dict[int, str]:
    """Names without schema where no two of them are the same, else all qualified."""
    short = {}
    for oid in dict.fromkeys(oids):
        relation = snapshot.by_oid.get(oid)
        full = snapshot.name_of(oid)
        short[oid] = full
        if relation is not None and full.endswith(quoted := _after_schema(full)):
            short[oid] = quoted
    if len(set(short.values())) == len(short):
        return short
    return {oid: snapshot.name_of(oid) for oid in short}


def _after_schema(qualified: str) -> str:
    """The last part of a quoted qualified name."""
    quoted = False
    for i, char in enumerate(qualified):
        quoted ^= char == '"'
        if char == "." and not quoted:
            return qualified[i + 1 :]
    return qualified


def has_cycle(reads: Mapping[N, Collection[N]]) -> bool:
    """Whether following `reads` can come back; linear in nodes and edges."""
    return bool(_stuck(reads))


def _stuck(reads: Mapping[N, Collection[N]]) -> set[N]:
    """What is left when everything that reads nothing left is taken away, again and again."""
    waiting = {node: len(set(found)) for node, found in reads.items()}
    readers: dict[N, list[N]] = {}
    for node, found in reads.items():
        for read in set(found):
            readers.setdefault(read, []).append(node)
            waiting.setdefault(read, 0)
    ready = deque(n for n, count in waiting.items() if not count)
    while ready:
        node = ready.popleft()
        for reader in readers.get(node, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
        del waiting[node]
    return set(waiting)


def reads_with_loops(snapshot: Snapshot, graph: Edges) -> dict[int, frozenset[int]]:
    """`graph.reads` with the TVIEWs that read their own table, which Edges leaves out."""
    reads = dict(graph.reads)
    folded = snapshot.table_of_view
    loops = {r.relation for r in snapshot.reads if r.relation == folded.get(r.reader)}
    loops |= {t.table_oid for t in snapshot.tviews if t.table_oid in planned_relations(t)}
    for oid in loops:
        if oid is not None:
            reads[oid] = reads.get(oid, frozenset()) | {oid}
    return reads


def find_cycles(snapshot: Snapshot, graph: Edges) -> list[Cycle]:
    """Every component of relations that read each other, in the order of their first names."""
    reads = reads_with_loops(snapshot, graph)
    stuck = _stuck(reads)
    if not stuck:
        return []
    fixed = {  # that a partition is part of its table is no definition that could be changed
        (r.partition_of, r.oid) for r in snapshot.relations if r.partition_of is not None
    }
    age = {r.oid: r.rule_age for r in snapshot.relations if r.rule_age is not None}
    for t in snapshot.tviews:
        age[t.table_oid] = t.registered_age if t.registered_age is not None else 2**31
    found = []
    for members in components({n: [r for r in reads.get(n, ()) if r in stuck] for n in stuck}):
        inside = {n: sorted(r for r in reads.get(n, ()) if r in members) for n in members}
        path = shortest_round(inside, [n for n in members if n in snapshot.tview_by_table])
        ranked = [(o not in snapshot.tview_by_table, snapshot.name_of(o)) for o in path[:-1]]
        first = ranked.index(min(ranked))
        path = (*path[first:-1], *path[: first + 1])
        # of several smallest cuts, the one at what was changed last: that closed the cycle
        edges = sorted(
            ((n, r) for n, rs in inside.items() for r in rs if (n, r) not in fixed),
            key=lambda e: (age.get(e[0], 2**31), e),
        )
        cut, exact = smallest_cut(inside, edges)
        found.append(Cycle(tuple(sorted(members, key=snapshot.name_of)), path, cut, exact))
    return sorted(found, key=lambda c: snapshot.name_of(c.members[0]))


def components(reads: Mapping[N, Collection[N]]) -> list[set[N]]:
    """Strongly connected components that hold a cycle."""
    import networkx as nx

    graph: nx.DiGraph[N] = nx.DiGraph()
    graph.add_edges_from((n, r) for n, found in reads.items() for r in found)
    return [
        set(c)
        for c in nx.strongly_connected_components(graph)
        if len(c) > 1 or graph.has_edge(*(2 * list(c)))
    ]


def shortest_round(reads: Mapping[N, Collection[N]], starts: Iterable[N] = ()) -> tuple[N, ...]:
    """The shortest path from a node back to itself; from one of `starts` if there are any."""
    best: tuple[N, ...] = ()
    for start in sorted(set(starts) or reads):
        before: dict[N, N] = {}
        queue = deque([start])
        while queue and start not in before:
            node = queue.popleft()
            for read in reads.get(node, ()):
                if read not in before:
                    before[read] = node
                    queue.append(read)
        if start in before:
            back = [start, before[start]]
            while back[-1] != start:
                back.append(before[back[-1]])
            if not best or len(back) < len(best):
                best = tuple(reversed(back))
    return best


def smallest_cut(
    reads: Mapping[N, Collection[N]], edges: list[tuple[N, N]]
) -> tuple[tuple[tuple[N, N], ...], bool]:
    """The fewest of `edges` without which nothing reads itself, and whether that is proven.

    Exact by trying all sets of one edge, of two, and so on, while there are at most TRIES of them;
    beyond that one edge of a shortest cycle after the other, which may take a few too many.
    """
    # what reads itself directly has to go in any case
    loops = tuple(e for e in edges if e[0] == e[1])
    others = [e for e in edges if e[0] != e[1]]
    tried = 0
    for size in range(len(others) + 1):
        tried += comb(len(others), size)
        if tried > TRIES:
            break
        for cut in combinations(others, size):
            if not has_cycle(_without(reads, loops + cut)):
                return loops + cut, True
    cut_edges: list[tuple[N, N]] = []
    allowed = set(edges)
    left = _without(reads, ())
    while has_cycle(left):
        path = shortest_round(left)
        round_edges = [e for e in pairwise(path) if e in allowed]
        if not round_edges:
            break
        # the edge whose ends have the most other ways through them
        readers = {n: sum(n in found for found in left.values()) for n in path}
        chosen = max(round_edges, key=lambda e: (len(left[e[1]]) * readers[e[0]], e))
        cut_edges.append(chosen)
        left = _without(left, (chosen,))
    # what turned out to be needless is put back
    for edge in list(cut_edges):
        rest = tuple(e for e in cut_edges if e != edge)
        if not has_cycle(_without(reads, rest)):
            cut_edges.remove(edge)
    return tuple(cut_edges), False


def _without(reads: Mapping[N, Collection[N]], cut: Collection[tuple[N, N]]) -> dict[N, list[N]]:
    return {n: [r for r in found if (n, r) not in cut] for n, found in reads.items()}


def tviews_in(cycle: Cycle, snapshot: Snapshot) -> list[Tview]:
    """The TVIEWs of a component."""
    by_table = snapshot.tview_by_table
    return [by_table[o] for o in cycle.members if o in by_table]
