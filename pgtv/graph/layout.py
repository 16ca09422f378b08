"""Layers and places for drawing a graph: what is read stands left of its readers.

A small Sugiyama layout: longest-path layers (cycles broken at their last edge), long edges led
through stand-ins, order within layers by repeated medians, then heights relaxed towards neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 12


@dataclass
class Layout:
    """place: x is the layer, y a height in rows. routes: heights at each layer an edge crosses."""

    place: dict[int | str, tuple[int, float]] = field(default_factory=dict)
    routes: dict[tuple[int | str, int | str], list[tuple[int, float]]] = field(default_factory=dict)
    backward: set[tuple[int | str, int | str]] = field(default_factory=set)

    @property
    def layers(self) -> int:
        return 1 + max((x for x, _ in self.place.values()), default=-1)


def layout(nodes: Sequence[int | str], edges: Iterable[tuple[int | str, int | str]]) -> Layout:
    """Places for `nodes` (in the order that ties follow) and their `edges` (read, reader)."""
    known = set(nodes)
    pairs = [e for e in dict.fromkeys(edges) if e[0] in known and e[1] in known and e[0] != e[1]]
    backward = _backward(nodes, pairs)
    forward = [(b, a) if (a, b) in backward else (a, b) for a, b in pairs]
    layer = _layers(nodes, forward)
    columns, chains = _with_stand_ins(nodes, pairs, backward, layer)
    heights = _heights(columns, chains)
    found = Layout(backward=backward)
    for node in nodes:
        found.place[node] = (layer[node], heights[node])
    for edge, chain in chains.items():
        route = [(min(layer[edge[0]], layer[edge[1]]) + i, heights[c]) for i, c in enumerate(chain)]
        found.routes[edge] = route[::-1] if edge in backward else route
    return found


def _backward(
    nodes: Sequence[int | str], pairs: list[tuple[int | str, int | str]]
) -> set[tuple[int | str, int | str]]:
    """Edges that close a cycle, by depth-first search."""
    after: dict[int | str, list[int | str]] = defaultdict(list)
    for a, b in pairs:
        after[a].append(b)
    state: dict[int | str, int] = {}
    found = set()
    for root in nodes:
        stack = [(root, iter(after[root]))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            node, rest = stack[-1]
            for reader in rest:
                if state.get(reader) == 1 and any(reader == n for n, _ in stack):
                    found.add((node, reader))
                elif reader not in state:
                    state[reader] = 1
                    stack.append((reader, iter(after[reader])))
                    break
            else:
                state[node] = 2
                stack.pop()
    return found


def _layers(
    nodes: Sequence[int | str], forward: list[tuple[int | str, int | str]]
) -> dict[int | str, int]:
    """Each node right of everything it reads, sources as close to their readers as they can be."""
    before: dict[int | str, list[int | str]] = defaultdict(list)
    after: dict[int | str, list[int | str]] = defaultdict(list)
    for a, b in forward:
        before[b].append(a)
        after[a].append(b)
    layer: dict[int | str, int] = {}
    order: list[int | str] = []
    waiting = {n: len(before[n]) for n in nodes}
    ready = [n for n in nodes if not waiting[n]]
    while ready:
        node = ready.pop(0)
        order.append(node)
        layer[node] = max((layer[b] + 1 for b in before[node]), default=0)
        for reader in after[node]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    for node in reversed(order):
        if not before[node] and after[node]:
            layer[node] = min(layer[r] for r in after[node]) - 1
    return layer


def _with_stand_ins(
    nodes: Sequence[int | str],
    pairs: list[tuple[int | str, int | str]],
    backward: set[tuple[int | str, int | str]],
    layer: Mapping[int | str, int],
) -> tuple[list[list[object]], dict[tuple[int | str, int | str], list[object]]]:
    columns: list[list[object]] = [[] for _ in range(1 + max(layer.values(), default=0))]
    for node in nodes:
        columns[layer[node]].append(node)
    chains: dict[tuple[int | str, int | str], list[object]] = {}
    for a, b in pairs:
        left, right = (b, a) if (a, b) in backward else (a, b)
        chain: list[object] = [left]
        for x in range(layer[left] + 1, layer[right]):
            stand_in = ("through", a, b, x)
            columns[x].append(stand_in)
            chain.append(stand_in)
        chains[a, b] = [*chain, right]
    return columns, chains


def _heights(
    columns: list[list[object]], chains: Mapping[tuple[int | str, int | str], list[object]]
) -> dict[object, float]:
    left: dict[object, list[object]] = defaultdict(list)
    right: dict[object, list[object]] = defaultdict(list)
    for chain in chains.values():
        for a, b in pairwise(chain):
            right[a].append(b)
            left[b].append(a)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        beside = left if forward else right
        for column in columns if forward else reversed(columns):
            rank = {n: i for c in columns for i, n in enumerate(c)}
            column.sort(key=lambda n: _mean([rank[b] for b in beside[n]], rank[n]))
    heights: dict[object, float] = {n: float(i) for c in columns for i, n in enumerate(c)}
    for _ in range(3 * SWEEPS):
        for column in columns:
            for node in column:
                around = [heights[n] for n in left[node] + right[node]]
                heights[node] = (heights[node] + _mean(around, heights[node])) / 2
            _apart(column, heights)
    lowest = min(heights.values(), default=0.0)
    return {n: h - lowest for n, h in heights.items()}


def _apart(column: list[object], heights: dict[object, float]) -> None:
    """Keep the order and a row between neighbours, moving the column's middle least."""
    if not column:
        return
    middle = sum(heights[n] for n in column) / len(column)
    for i in range(1, len(column)):
        heights[column[i]] = max(heights[column[i]], heights[column[i - 1]] + 1)
    shift = middle - sum(heights[n] for n in column) / len(column)
    for node in column:
        heights[node] += shift


def _mean(values: list[float] | list[int], otherwise: float) -> float:
    return sum(values) / len(values) if values else float(otherwise)
