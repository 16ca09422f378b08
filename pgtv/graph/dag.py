"""The graph as networkx holds it: who reads whom, how, and which sources say so.

Nodes are OIDs of relations, and signatures of the user's functions. An edge leads from what is read
to its reader. A TVIEW and its backing view are one node. Three sources are laid over each other:
the definitions as pglast reads them, pg_depend, and the extension's plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.catalog.model import Relation, Snapshot, Tview
from pgtv.graph.edges import planned_relations
from pgtv.graph.lineage import lineages

if TYPE_CHECKING:
    import networkx as nx

    Graph = nx.DiGraph[int | str]

KINDS = {
    "r": "table", "p": "table", "v": "view", "m": "matview", "f": "foreign table",
}  # fmt: skip
DEFINITION, DEPEND, PLAN = "definition", "pg_depend", "plan"


@dataclass(frozen=True)
class Edge:
    """An edge to be: found by one source."""

    read: int | str
    reader: int
    source: str
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()


def build(snapshot: Snapshot) -> Graph:
    """The whole graph.

    Node attributes: kind (table, partition, view, matview, foreign table, function, tview), name
    (qualified, as SQL quotes it), rows (estimate or None). Edge attributes: kind (embeds: a TVIEW's
    document lands in another; maps: its keys or those of a table are looked up from there; reads),
    sources (which of the three know it), columns (name to how it is used).
    """
    import networkx as nx

    graph: Graph = nx.DiGraph()
    backing = {t.view_oid for t in snapshot.tviews}
    for relation in snapshot.relations:
        if relation.oid not in backing:
            _add_node(graph, snapshot, relation)
    for tview in snapshot.tviews:
        graph.add_node(
            tview.table_oid, kind="tview", name=tview.label, rows=rows(snapshot, tview.table_oid)
        )
    for edge in [*_from_definitions(snapshot), *_from_depend(snapshot)]:
        _add_edge(graph, snapshot, edge)
    reached = {t.table_oid: _ends(graph, t.table_oid) for t in snapshot.tviews}
    for edge in _from_plan(snapshot):
        direct = graph.has_edge(edge.read, edge.reader)
        if direct or edge.read not in reached[edge.reader]:
            _add_edge(graph, snapshot, edge)
    _set_kinds(graph, snapshot)
    alone = [n for n, d in graph.nodes(data=True) if not graph.degree(n) and d["kind"] != "tview"]
    graph.remove_nodes_from(alone)
    return graph


def rows(snapshot: Snapshot, oid: int) -> int | None:
    """About how many rows: the planner's estimate, else the live rows counted by statistics."""
    relation, stats = snapshot.by_oid.get(oid), snapshot.stats_of.get(oid)
    if relation is not None and relation.kind == "p":
        below = [rows(snapshot, r.oid) for r in snapshot.relations if r.partition_of == oid]
        known = [n for n in below if n is not None]
        return sum(known) if known else None
    if relation is not None and relation.reltuples >= 0:
        return int(relation.reltuples)
    return stats.live if stats and (stats.live or stats.last_analyze) else None


def _add_node(graph: Graph, snapshot: Snapshot, relation: Relation) -> None:
    kind = "partition" if relation.partition_of is not None else KINDS.get(relation.kind, "table")
    graph.add_node(
        relation.oid, kind=kind, name=relation.qualified, rows=rows(snapshot, relation.oid)
    )


def _add_edge(graph: Graph, snapshot: Snapshot, edge: Edge) -> None:
    # up to beta.19 a TVIEW embeds another through that one's backing view
    read = edge.read
    if isinstance(read, int):
        read = snapshot.table_of_view.get(read, read)
    for end in (read, edge.reader):
        if end not in graph:
            if isinstance(end, str):
                graph.add_node(end, kind="function", name=end, rows=None)
            else:
                graph.add_node(end, kind="table", name=snapshot.name_of(end), rows=None)
    if not graph.has_edge(read, edge.reader):
        graph.add_edge(read, edge.reader, kind="reads", sources=set(), columns={})
    data = graph.edges[read, edge.reader]
    data["sources"].add(edge.source)
    for column, uses in edge.columns:
        data["columns"].setdefault(column, set()).update(uses)


def _from_definitions(snapshot: Snapshot) -> list[Edge]:
    found = []
    for lineage in lineages(snapshot):
        for name, oid in lineage.relations.items():
            uses = lineage.reads.uses(name) if lineage.reads else {}
            columns = tuple((c, tuple(sorted(u))) for c, u in uses.items())
            found.append(Edge(oid, lineage.reader, DEFINITION, columns))
    return found


def _from_depend(snapshot: Snapshot) -> list[Edge]:
    folded = snapshot.table_of_view
    signatures = {f.oid: f.signature for f in snapshot.functions}
    found = []
    for read in snapshot.reads:
        reader = folded.get(read.reader, read.reader)
        if read.relation is not None:
            columns = tuple((c, ()) for c in read.columns)
            found.append(Edge(read.relation, reader, DEPEND, columns))
        elif read.function is not None and (name := _signature(read.function, signatures)):
            found.append(Edge(name, reader, DEPEND))
    for relation in snapshot.relations:
        if relation.partition_of is not None:
            found.append(Edge(relation.oid, relation.partition_of, DEPEND))
    return found


def _signature(function: str | int, signatures: dict[int, str]) -> str | None:
    """The name of a function that pg_depend knows by OID; the snapshot may hold either."""
    if str(function).isdigit():
        return signatures.get(int(function))
    return str(function)


def _from_plan(snapshot: Snapshot) -> list[Edge]:
    found = []
    for tview in snapshot.tviews:
        found += [Edge(oid, tview.table_oid, PLAN) for oid in planned_relations(tview)]
        for function, relation in tview.function_reads:
            if relation:
                found.append(Edge(relation, tview.table_oid, f"declared for {function}"))
    return found


def _ends(graph: Graph, tview: int) -> set[int | str]:
    """What a TVIEW reads when helper views and partitioned tables are stepped over."""
    found: set[int | str] = set()
    pending = list(graph.predecessors(tview)) if tview in graph else []
    while pending:
        read = pending.pop()
        if read not in found:
            found.add(read)
            if graph.nodes[read]["kind"] in ("view", "table"):
                pending.extend(graph.predecessors(read))
    return found


def _set_kinds(graph: Graph, snapshot: Snapshot) -> None:
    for tview in snapshot.tviews:
        kinds = plan_kinds(tview)
        for read, kind in kinds.items():
            if graph.has_edge(read, tview.table_oid):
                graph.edges[read, tview.table_oid]["kind"] = kind


def plan_kinds(tview: Tview) -> dict[int, str]:
    """embeds or maps, by relation, as the plan says; what it reads otherwise is not in here."""
    plan = tview.plan if isinstance(tview.plan, dict) else {}
    embeds = {e.get("entity") for e in _entries(plan, "embeds")}
    kinds = {}
    for table in _entries(plan, "tables"):
        if isinstance(table.get("relid"), int):
            if table.get("kind") == "propagated" or table.get("tview", "") in embeds:
                kinds[table["relid"]] = "embeds"
            elif table.get("kind") in ("mapped", "all_keys"):
                kinds[table["relid"]] = "maps"
    return kinds


def _entries(plan: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = plan.get(key)
    return [e for e in found if isinstance(e, dict)] if isinstance(found, list) else []
