"""Selecting TVIEWs by name and by what they feed or read: `tv_x`, `+tv_x`, `tv_x+3`, `2+tv_x`.

`+` before a name adds every TVIEW that it reads, `+` after it every TVIEW that reads it; a number on
the outer side bounds the steps. Several selectors, as arguments or separated by commas, are a union.
Names are SQL's: unquoted ones fold to lower case, `"Sales Dept".tv_order` keeps its spelling; an
entity (`order`) stands for its TVIEW. Nothing here imports networkx: `status` and `verify` use it.
"""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import NotPossible, UsageError
from pgtv.graph.edges import Edges, edges


@dataclass(frozen=True)
class Selector:
    """One parsed selector; `up` and `down` are steps, None for without bound."""

    parts: tuple[str, ...]  # name, or schema and name, as the catalog spells them
    typed: tuple[str, ...]  # the same with nothing folded: a shell eats the quotes of "Tv_X"
    text: str
    up: int | None = 0
    down: int | None = 0


def select(
    snapshot: Snapshot, args: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[Tview]:
    """The TVIEWs that `args` name (all without any) less those of `exclude`, in dependency order.

    Raises UsageError for a selector that cannot be read, names no TVIEW or more than one, and
    NotPossible where the TVIEWs could not be seen.
    """
    require_seen(snapshot)
    graph = edges(snapshot)
    upstream, downstream = tview_edges(graph)
    chosen = set(graph.tviews)
    if wanted := list(parse(args)):
        chosen = _union(snapshot, wanted, upstream, downstream)
    chosen -= _union(snapshot, parse(exclude), upstream, downstream)
    return [graph.tviews[o] for o in order(graph.tviews, upstream) if o in chosen]


def require_seen(snapshot: Snapshot) -> None:
    """Raises NotPossible where it could not be seen which TVIEWs there are: none would be a lie."""
    gap = snapshot.gap("tviews")
    if gap and not snapshot.tviews:
        raise NotPossible(
            f"the TVIEWs could not be seen: {gap.reason}",
            f"needs {', '.join(gap.needs)}" if gap.needs else "see: pgtv status",
        )


def tview_edges(graph: Edges) -> tuple[dict[int, frozenset[int]], dict[int, frozenset[int]]]:
    """TVIEW to TVIEWs that it reads, and the same turned round; views in between are stepped over.

    A TVIEW is its table's OID; one that reads itself through others is its own neighbour.
    """
    upstream: dict[int, frozenset[int]] = {}
    turned: dict[int, set[int]] = {oid: set() for oid in graph.tviews}
    for oid in graph.tviews:
        found: set[int] = set()
        seen: set[int] = set()
        pending = list(graph.reads.get(oid, ()))
        while pending:
            read = pending.pop()
            if read in seen:
                continue
            seen.add(read)
            if read in graph.tviews:
                found.add(read)
            else:
                pending.extend(graph.reads.get(read, ()))
        upstream[oid] = frozenset(found)
        for read in found:
            turned[read].add(oid)
    return upstream, {oid: frozenset(readers) for oid, readers in turned.items()}


def order(tviews: Mapping[int, Tview], upstream: Mapping[int, frozenset[int]]) -> list[int]:
    """Every TVIEW after those that it reads, by name where that leaves a choice.

    In a cycle no order is right: the first by name of what is stuck goes first.
    """
    waiting = {oid: set(upstream.get(oid, ())) & set(tviews) - {oid} for oid in tviews}
    readers: dict[int, list[int]] = {}
    for oid, reads in waiting.items():
        for read in reads:
            readers.setdefault(read, []).append(oid)
    ready = [(tviews[o].label, o) for o, reads in waiting.items() if not reads]
    heapq.heapify(ready)
    cut = iter(sorted((o for o, r in waiting.items() if r), key=lambda o: tviews[o].label))
    done: dict[int, None] = {}
    while len(done) < len(tviews):
        oid = heapq.heappop(ready)[1] if ready else next(cut)
        if oid in done:
            continue
        done[oid] = None
        for reader in readers.get(oid, ()):
            waiting[reader].discard(oid)
            if not waiting[reader] and reader not in done:
                heapq.heappush(ready, (tviews[reader].label, reader))
    return list(done)


def parse(args: Iterable[str]) -> list[Selector]:
    """Selectors out of arguments, commas outside quotes taken apart. Raises UsageError."""
    return [_selector(piece) for arg in args for piece in _split(arg, ",", arg)]


def _selector(text: str) -> Selector:
    name, up, down = text.strip(), 0, 0
    up_bound: int | None = up
    down_bound: int | None = down
    head, plus, rest = name.partition("+")
    if plus and (not head or head.isdecimal()):
        up_bound, name = (int(head) if head else None), rest
    head, plus, rest = name.rpartition("+")
    if plus and '"' not in rest and (not rest or rest.isdecimal()):
        down_bound, name = (int(rest) if rest else None), head
    typed = tuple(p.strip() for p in _split(name, ".", text))
    parts = tuple(_identifier(p, text) for p in typed)
    if not name.strip() or len(parts) > 2 or not all(parts):
        raise UsageError(
            f"cannot read the selector {text!r}",
            "a selector is [[N]+]TVIEW[+[N]], as in +tv_order, tv_customer+2, schema.tv_x",
        )
    return Selector(parts, typed, text.strip(), up_bound, down_bound)


def identifiers(text: str) -> tuple[str, ...]:
    """The parts of a dotted name as SQL reads it. Raises UsageError."""
    return tuple(_identifier(p.strip(), text) for p in _split(text, ".", text))


def _split(text: str, separator: str, whole: str) -> list[str]:
    """Split outside double quotes."""
    pieces, current, quoted = [], "", False
    for char in text:
        quoted ^= char == '"'
        if char == separator and not quoted:
            pieces.append(current)
            current = ""
        else:
            current += char
    if quoted:
        raise UsageError(f"a quote is not closed in {whole!r}", 'quote names as SQL does: "A b"')
    return [*pieces, current]


def _identifier(text: str, whole: str) -> str:
    """What SQL makes of a name: quotes taken off, or folded to lower case."""
    if not text.startswith('"'):
        if '"' in text:
            raise UsageError(
                f"a quote stands inside a name in {whole!r}", 'as in "Sales Dept".tv_x'
            )
        # only ASCII letters fold, as in a UTF-8 server
        return "".join(c.lower() if c.isascii() else c for c in text)
    if len(text) < 2 or not text.endswith('"') or '"' in text[1:-1].replace('""', ""):
        raise UsageError(f"a quote is not closed in {whole!r}", 'quote names as SQL does: "A b"')
    return text[1:-1].replace('""', '"')


def _union(
    snapshot: Snapshot,
    wanted: Iterable[Selector],
    upstream: Mapping[int, frozenset[int]],
    downstream: Mapping[int, frozenset[int]],
) -> set[int]:
    found: set[int] = set()
    for selector in wanted:
        start = _resolve(snapshot, selector).table_oid
        found |= {start} | _reach(upstream, start, selector.up)
        found |= _reach(downstream, start, selector.down)
    return found


def _reach(next_of: Mapping[int, frozenset[int]], start: int, steps: int | None) -> set[int]:
    found: set[int] = set()
    edge = {start}
    while edge and (steps is None or steps > 0):
        edge = {n for o in edge for n in next_of.get(o, ())} - found
        found |= edge
        steps = None if steps is None else steps - 1
    return found


def resolve(snapshot: Snapshot, name: str) -> Tview:
    """The one TVIEW that `name` stands for. Raises UsageError, naming near misses, and NotPossible."""
    require_seen(snapshot)
    selector = _selector(name)
    if (selector.up, selector.down) != (0, 0):
        raise UsageError(f"one TVIEW is meant here, not {name!r}", "leave the + away")
    return _resolve(snapshot, selector)


def _resolve(snapshot: Snapshot, selector: Selector) -> Tview:
    for *schema, name in (selector.parts, selector.typed):
        found = [t for t in snapshot.tviews if t.name == name and schema in ([], [t.schema])] or [
            t for t in snapshot.tviews if t.entity == name and not schema
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{selector.text!r} could be {' or '.join(sorted(t.label for t in found))}",
                "name the schema too",
            )
    raise UsageError(_unknown(snapshot, selector), "list them with: pgtv status")


def _unknown(snapshot: Snapshot, selector: Selector) -> str:
    text, name = selector.text, selector.parts[-1]
    if not snapshot.tviews:
        return f"there is no TVIEW {text!r}: this database has none"
    names = {n: t.label for t in snapshot.tviews for n in (t.name, t.entity, t.label)}
    tried = (text, name, f"tv_{name}")
    close = {names[n]: None for n in tried for n in difflib.get_close_matches(n, names, 3, 0.7)}
    return f"there is no TVIEW {text!r}" + (f"; near: {', '.join(close)}" if close else "")
