"""What a change of a table, or of one column of it, reaches: which TVIEWs, by which path, how many rows.

Columns are followed through definitions: a changed column reaches the output columns that are made
of it, and all of them where it takes part in a join, a filter or a grouping. A definition that cannot
be read passes everything on.
"""

from __future__ import annotations

import difflib
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from pgtv.catalog.model import Relation, Snapshot, Tview
from pgtv.definitions.reads import WHOLE
from pgtv.errors import UsageError
from pgtv.graph.dag import rows
from pgtv.graph.edges import Edges, edges
from pgtv.graph.lineage import Lineage, lineages
from pgtv.graph.select import identifiers


@dataclass(frozen=True)
class Reached:
    """A TVIEW that a change reaches.

    path: OIDs from the changed relation to the TVIEW, one shortest way. columns: its output columns
    that may change, None for all. rows: about how many it has. per_row: about how many of them one
    changed row reaches, None where statistics are missing.
    """

    tview: Tview
    path: tuple[int, ...]
    columns: tuple[str, ...] | None
    rows: int | None
    per_row: int | None


def impact(
    snapshot: Snapshot,
    relation: Relation,
    column: str | None = None,
    *,
    graph: Edges | None = None,
    read: Mapping[int, Lineage] | None = None,
) -> list[Reached]:
    """The TVIEWs that a change of `relation` (of `column`) reaches, nearest first.

    graph, read: the snapshot's edges and lineages by reader, where the caller has them already.
    per_row takes rows as spread evenly: rows of the TVIEW over rows of the changed table, at least 1.
    Raises UsageError for a column that the relation does not have.
    """
    if column is not None and column not in {c.name for c in relation.columns}:
        names = [c.name for c in relation.columns]
        close = difflib.get_close_matches(column, names, 3)
        raise UsageError(
            f"{relation.qualified} has no column {column!r}"
            + (f"; near: {', '.join(close)}" if close else ""),
            "its columns: " + ", ".join(names) if names else None,
        )
    graph = graph or edges(snapshot)
    changed = _spread(snapshot, graph, relation.oid, column, read)
    base = rows(snapshot, relation.oid)
    found = []
    for oid, (came_from, columns) in changed.items():
        tview = graph.tviews.get(oid)
        if tview is None or oid == relation.oid:
            continue
        path = [oid]
        while path[-1] != relation.oid and came_from is not None:
            path.append(came_from)
            came_from = changed[came_from][0]
        count = rows(snapshot, oid)
        per_row = None
        if count is not None and base:
            per_row = min(count, max(1, math.ceil(count / base)))
        listed = None if columns is None else tuple(sorted(columns))
        found.append(Reached(tview, tuple(reversed(path)), listed, count, per_row))
    return found


Changed = dict[int, tuple[int | None, frozenset[str] | None]]


def _spread(
    snapshot: Snapshot,
    graph: Edges,
    start: int,
    column: str | None,
    read: Mapping[int, Lineage] | None,
) -> Changed:
    """Reached relations with where the change came from first, and their changed columns."""
    lineage: Mapping[int, Lineage] = {}
    if column:
        lineage = read if read is not None else {f.reader: f for f in lineages(snapshot)}
    known = {
        (read.relation, reader): set(read.columns)
        for read in snapshot.reads
        for reader in (read.reader,)
        if read.relation is not None
    }
    backing = {t.table_oid: t.view_oid for t in snapshot.tviews}
    first = None if column is None else frozenset({column})
    changed: Changed = {start: (None, first)}
    queue = deque([start])
    while queue:
        oid = queue.popleft()
        columns = changed[oid][1]
        for reader in sorted(graph.readers.get(oid, ()), key=snapshot.name_of):
            relation = snapshot.by_oid.get(oid)
            if relation is not None and relation.partition_of == reader:
                passed = columns
            else:
                listed = known.get((oid, backing.get(reader, reader)), set())
                passed = _passed_on(oid, columns, lineage.get(reader), listed)
            if passed is not None and not passed:
                continue
            if reader not in changed:
                changed[reader] = (oid, passed)
            else:
                origin, before = changed[reader]
                if before is None or (passed is not None and passed <= before):
                    continue
                changed[reader] = (origin, None if passed is None else before | passed)
            queue.append(reader)
    return changed


def _passed_on(
    oid: int, columns: frozenset[str] | None, lineage: Lineage | None, listed: set[str]
) -> frozenset[str] | None:
    """Output columns of a reader that change with `columns` of what it reads; None for all."""
    if columns is None or lineage is None or lineage.reads is None:
        return None
    reads = lineage.reads
    names = {name for name, found in lineage.relations.items() if found == oid}
    if not names:  # an edge that only pg_depend or the plan knows
        return None

    def touches(made_of: frozenset[tuple[tuple[str | None, str], str]]) -> bool:
        return any(r in names and (c in columns or c == WHOLE) for r, c in made_of)

    if touches(reads.rows):
        return None
    passed = frozenset(o.name or "?column?" for o in reads.outputs if touches(o.columns))
    if not passed and listed & columns:
        return None  # pg_depend saw a use that the text did not show
    return None if WHOLE in passed else passed


def target(snapshot: Snapshot, text: str) -> tuple[Relation, str | None]:
    """`tb_user`, `schema.tb_user`, `tb_user.email`, `schema.tb_user.email`, quoted where SQL would.

    A relation goes before a column of the same spelling. Raises UsageError, naming near misses.
    """
    parts = identifiers(text)
    folded = snapshot.table_of_view
    found = _named(snapshot, parts)
    column = None
    if not found and len(parts) > 1:
        found, column = _named(snapshot, parts[:-1]), parts[-1]
    entities = snapshot.tview_by_entity
    if not found and parts[0] in entities and len(parts) < 3:
        relation = snapshot.by_oid.get(entities[parts[0]].table_oid)
        found, column = [relation] if relation else [], parts[1] if len(parts) > 1 else None
    if len(found) > 1:
        raise UsageError(
            f"{text!r} could be {' or '.join(r.qualified for r in found)}", "name the schema too"
        )
    if not found:
        names = {r.name: r.qualified for r in snapshot.relations}
        close = {names[n]: None for p in parts for n in difflib.get_close_matches(p, names, 3, 0.7)}
        raise UsageError(
            f"no relation {text!r} is read by a TVIEW"
            + (f"; near: {', '.join(close)}" if close else ""),
            "a table, a view or a TVIEW, with a column after a dot: tb_user.email",
        )
    oid = folded.get(found[0].oid, found[0].oid)
    return snapshot.by_oid.get(oid, found[0]), column


def _named(snapshot: Snapshot, parts: tuple[str, ...]) -> list[Relation]:
    return [
        r
        for r in snapshot.relations
        if r.name == parts[-1] and (len(parts) == 1 or (len(parts) == 2 and r.schema == parts[0]))
    ]
