"""Which rows of a TVIEW follow those of the TVIEWs that it reads, where pgtv and not the extension
writes those.

A TVIEW that embeds another one's documents is told of them by the other's own refresh and by nothing
else: whoever corrects rows of the other has to bring those that hold their keys, and so on down. One
that reads another one's table in any other way has triggers there, which carry along what is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import literal
from pgtv.catalog.model import Snapshot, Tview
from pgtv.graph.edges import Edges
from pgtv.rows.merge_sql import Key, array_of
from pgtv.rows.readings import PROPAGATED, kind_of_read, lookups
from pgtv.rows.subject import Subject

AT_ONCE = 10_000  # keys that one statement follows


@dataclass(frozen=True)
class Lead:
    """How rows of one TVIEW lead to rows of another that reads it, and that nobody tells.

    columns: of the reader, that hold the other's keys. whole: any row may follow as well.
    """

    columns: tuple[str, ...] = ()
    whole: bool = False

    @property
    def any(self) -> bool:
        return bool(self.columns) or self.whole


def lead(snapshot: Snapshot, above: Tview, reader: Tview) -> Lead:
    """How rows of `above` lead to rows of `reader`, which reads it, where no trigger tells it."""
    columns = lookups(reader, above)
    if columns and len(above.identity) != 1:
        return Lead(whole=True)
    kind = kind_of_read(reader, above)
    embedded = kind == PROPAGATED and columns
    return Lead(columns, whole=not embedded and not _told(snapshot, above, reader))


def _told(snapshot: Snapshot, above: Tview, reader: Tview) -> bool:
    """Whether triggers on the table of `above` carry what is written there to `reader`."""
    dialect = dialects.named(snapshot.extension.generation)
    # those of a table that is mapped from; none where the plan knows of no such reading
    kind = kind_of_read(reader, above) or ""
    shapes = dialect.expected_triggers(kind, "r", on_tview=True)
    there = {
        (t.kind, t.type)
        for t in snapshot.triggers_for.get((above.table_oid, reader.entity), ())
        if t.enabled in "OA"
    }
    return bool(shapes) and all((s.kind, s.type) in there for s in shapes)


def read_now(graph: Edges, snapshot: Snapshot, tview: Tview) -> list[Tview]:
    """The TVIEWs whose tables a definition reads when it is evaluated, through views too.

    Not those behind a materialized view: what that holds is changed by its own refresh alone.
    """
    found: dict[int, Tview] = {}
    seen, below = {tview.table_oid}, [tview.table_oid]
    while below:
        for oid in sorted(graph.reads.get(below.pop(), ())):
            if oid in seen:
                continue
            seen.add(oid)
            relation = snapshot.by_oid.get(oid)
            if oid in graph.tviews:
                found[oid] = graph.tviews[oid]
            elif relation is None or relation.kind == "v":
                below.append(oid)
    return list(found.values())


def followers(graph: Edges, snapshot: Snapshot, tables: Collection[int]) -> list[Tview]:
    """The TVIEWs of these tables, and those whose rows follow and that nobody tells, in dependency
    order."""
    reached = set(tables)
    found = []
    for tview in graph.in_order(graph.affected(tables)):
        if tview.table_oid in reached or any(
            above.table_oid in reached and lead(snapshot, above, tview).any
            for above in read_now(graph, snapshot, tview)
        ):
            reached.add(tview.table_oid)
            found.append(tview)
    return found


def follow(
    ask: Callable[[str], Iterable[str]],
    above: Subject,
    reader: Subject,
    columns: Sequence[str],
    keys: Collection[Key],
    most: int,
) -> set[Key] | None:
    """The keys of the reader's rows that hold one of `keys` in one of `columns`; None where they are
    more than `most`. Raises psycopg.Error."""
    if not {c.name for c in reader.columns} >= set(columns):
        return None
    wanted = sorted(k[0] for k in keys if k[0] is not None)
    found: set[Key] = set()
    for i in range(0, len(wanted), AT_ONCE):
        query = holding(above, reader, columns, wanted[i : i + AT_ONCE], most)
        found |= {tuple(json.loads(row)) for row in ask(query)}
        if len(found) > most:
            return None
    return found


def holding(
    above: Subject, reader: Subject, columns: Sequence[str], keys: Sequence[str], most: int
) -> str:
    """The query: keys of rows that hold one of these, of the table and by the definition, as a row may
    have to come or to go; no more than `most` and one."""
    # as of the type that the definition compares them with: the column may be too small for one
    values = f"CAST({literal(array_of(keys))} AS {above.keys[0].type}[])"
    types = {c.name: c for c in reader.columns}
    texts = ", ".join(f"x.{k.sql}::text" for k in reader.keys)
    sides = " UNION ALL ".join(
        f"SELECT pg_catalog.json_build_array({texts})::text FROM {relation} x"
        f" WHERE x.{types[column].sql} = ANY ({values})"
        for relation in (reader.view, reader.table)
        for column in columns
    )
    return f"SELECT DISTINCT y.k FROM ({sides}) y(k) LIMIT {most + 1}"
