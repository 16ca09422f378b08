"""What makes a view give other rows while no row of a table changes."""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.model import Snapshot, Tview
from pgtv.definitions.builtin import TIME
from pgtv.definitions.reads import Reads
from pgtv.definitions.varying import causes
from pgtv.graph.lineage import Lineage, Names, of_text

UNREADABLE = "its definition could not be read"


def of_view(snapshot: Snapshot, names: Names, oid: int) -> Iterator[str]:
    """What moves one view's rows, each as a clause about it, or that it could not be read."""
    lineage = _lineage(snapshot, names, oid)
    yield from _reasons(lineage.reads) if lineage and lineage.reads else (UNREADABLE,)


def of_tview(snapshot: Snapshot, tview: Tview) -> str | None:
    """Why its definition gives other rows each time, or None; views in between are looked at too."""
    if tview.time_dependent:
        return "it is time-dependent"
    names = Names(snapshot)
    left, seen = [tview.view_oid], set[int]()
    while left:
        oid = left.pop()
        lineage = _lineage(snapshot, names, oid)
        if oid in seen or lineage is None or lineage.reads is None:
            continue
        seen.add(oid)
        for reason in _reasons(lineage.reads):
            return reason
        left += [r for r in lineage.relations.values() if snapshot.by_oid[r].kind == "v"]
    return None


def _lineage(snapshot: Snapshot, names: Names, oid: int) -> Lineage | None:
    relation = snapshot.by_oid.get(oid)
    return of_text(names, oid, relation.definition) if relation and relation.definition else None


def _reasons(reads: Reads) -> Iterator[str]:
    for what, why in causes(reads).items():
        yield f"it uses {what}, which is {why}"
    for call in reads.functions:
        if call.name in TIME and call.schema in (None, "pg_catalog"):
            yield f"it uses {call.name}(), which is the time"
    for what, _ in reads.time:
        yield f"it uses {what}, which is the time"
