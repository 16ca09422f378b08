"""Who reads whom, as plain dictionaries: what doctor needs of the graph, without importing networkx.

Built from pg_depend (through views and materialized views), partitions, declared function reads and
the extension's plan, so a table whose edge one of them lost is still reached by the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pgtv.catalog.model import Snapshot, Tview


@dataclass(frozen=True)
class Edges:
    """readers[r]: relations that read relation r directly; reads is the same turned round.

    A TVIEW is its table: its backing view is folded into it.
    """

    readers: dict[int, frozenset[int]]
    reads: dict[int, frozenset[int]]
    tviews: dict[int, Tview]

    def downstream(self, oids: Iterable[int]) -> list[int]:
        """Relations that read `oids`, directly or not, nearest first; a TVIEW among `oids` too."""
        return _walk(self.readers, oids)

    def upstream(self, oids: Iterable[int]) -> list[int]:
        """Relations that `oids` read, directly or not, nearest first; `oids` first."""
        return _walk(self.reads, oids)

    def affected(self, oids: Iterable[int]) -> list[Tview]:
        """The TVIEWs that a wrong or unreachable relation among `oids` reaches, nearest first."""
        return [self.tviews[o] for o in self.downstream(oids) if o in self.tviews]

    def in_order(self, tviews: Iterable[Tview]) -> list[Tview]:
        """Upstream before downstream: who reads more TVIEWs comes later."""
        return sorted(
            tviews,
            key=lambda t: (sum(o in self.tviews for o in self.upstream([t.table_oid])), t.label),
        )

    def covering(self, tviews: Iterable[Tview]) -> list[tuple[Tview, list[Tview]]]:
        """Those of `tviews` that none before reaches, upstream first, each with all that it reaches.

        What is done to one with its dependents has then been done to all.
        """
        found: list[tuple[Tview, list[Tview]]] = []
        covered: set[int] = set()
        for tview in self.in_order(tviews):
            if tview.table_oid not in covered:
                reached = self.affected([tview.table_oid])
                covered.update(t.table_oid for t in reached)
                found.append((tview, reached))
        return found


def _walk(next_of: dict[int, frozenset[int]], oids: Iterable[int]) -> list[int]:
    queue = deque(dict.fromkeys(oids))
    seen = dict.fromkeys(queue)
    while queue:
        for follower in sorted(next_of.get(queue.popleft(), ())):
            if follower not in seen:
                seen[follower] = None
                queue.append(follower)
    return list(seen)


def edges(snapshot: Snapshot) -> Edges:
    """The direct edges between relations of the snapshot."""
    folded = snapshot.table_of_view
    pairs: set[tuple[int, int]] = set()
    for read in snapshot.reads:
        if read.relation is not None:
            # up to beta.19 a TVIEW embeds another through that one's backing view
            source = folded.get(read.relation, read.relation)
            pairs.add((source, folded.get(read.reader, read.reader)))
    for relation in snapshot.relations:
        if relation.partition_of is not None:
            # a write to a partition is a write to its parent, and the other way round
            pairs.add((relation.oid, relation.partition_of))
    for tview in snapshot.tviews:
        for _, relation_oid in tview.function_reads:
            if relation_oid:
                pairs.add((relation_oid, tview.table_oid))
        for relid in planned_relations(tview):
            pairs.add((relid, tview.table_oid))
    readers: dict[int, set[int]] = {}
    reads: dict[int, set[int]] = {}
    for source, reader in pairs:
        if source != reader:
            readers.setdefault(source, set()).add(reader)
            reads.setdefault(reader, set()).add(source)
    return Edges(
        {k: frozenset(v) for k, v in readers.items()},
        {k: frozenset(v) for k, v in reads.items()},
        dict(snapshot.tview_by_table),
    )


def planned_relations(tview: Tview) -> list[int]:
    """OIDs of the relations that the extension's plan of a TVIEW names."""
    tables = tview.plan.get("tables") if isinstance(tview.plan, dict) else None
    return [
        t["relid"]
        for t in (tables if isinstance(tables, list) else ())
        if isinstance(t, dict) and isinstance(t.get("relid"), int)
    ]
