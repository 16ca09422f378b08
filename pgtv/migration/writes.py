"""INSERT, UPDATE, DELETE, MERGE, COPY and TRUNCATE: what reaches TVIEWs, what does not, how much."""

from __future__ import annotations

from typing import Any

from pgtv.catalog.model import Tview
from pgtv.definitions.parse import Node
from pgtv.graph.dag import rows
from pgtv.migration.heard import Heard

WRITING = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
# Of the extension's max_queue_size: a statement that fills a tenth is worth a word.
SHARE_OF_QUEUE = 0.1
QUEUE = 1_000_000  # rows; the extension's default of max_queue_size


def written(node: Any) -> list[tuple[str, Node]]:
    """Statements that write, at any depth: those in WITH too."""
    if isinstance(node, list):
        return [w for n in node for w in written(n)]
    if not isinstance(node, dict):
        return []
    found = []
    for kind, value in node.items():
        if kind in WRITING:
            found.append((kind, value))
        found += written(value)
    return found


def write(heard: Heard, kind: str, node: Node) -> None:
    oid = heard.named(node["relation"])
    if oid is None:
        return
    copy = heard.copy
    if copy.ours(oid):
        heard.say("catalog", oid)
        return
    if copy.tview(oid) is not None:
        _own(heard, oid)
        return
    whole = kind in ("UpdateStmt", "DeleteStmt") and "whereClause" not in node
    few = kind == "InsertStmt" and "valuesLists" in node.get("selectStmt", {}).get("SelectStmt", {})
    columns = _set_columns(heard, oid, node) if kind == "UpdateStmt" else None
    _base(heard, oid, whole, few, columns)


def _set_columns(heard: Heard, oid: int, node: Node) -> list[str]:
    names = [
        t["ResTarget"]["name"]
        for t in node.get("targetList", [])
        if "name" in t.get("ResTarget", {})
    ]
    found = [heard.copy.column(oid, n) for n in names]
    return [n for n in found if n is not None]


def _own(heard: Heard, oid: int) -> None:
    """Readers with a trigger on the TVIEW's table are told, those that embed its rows are not."""
    copy = heard.copy
    told = {t.entity for t in copy.triggers(oid)}
    stale = [copy.graph.tviews[oid], *(t for t in copy.nearest(oid) if t.entity not in told)]
    heard.say("tview-write", oid, tviews=stale)
    heard.upto.update(dict.fromkeys(t.label for t in copy.affected(oid)))


def _base(heard: Heard, oid: int, whole: bool, few: bool, columns: list[str] | None) -> None:
    copy = heard.copy
    targets = [oid, *copy.parts(oid)]
    for part in targets[1:]:
        heard.may_lock(part)
    nearest = copy.nearest(oid)
    reached = {
        r.tview.table_oid: r
        for column in (columns if columns is not None else [None])
        for r in copy.reached(oid, column)
    }
    off = {e for o in [*copy.roots(oid), *targets] for e in copy.off.get(o, ())}
    untold = [
        t for t in nearest if (copy.replicating or t.entity in off) and t.table_oid in reached
    ]
    heard.upto.update(dict.fromkeys(t.label for t in copy.affected(oid)))
    if untold:
        heard.say("write/stale", oid, tviews=untold)
        return
    total = sum(r.rows or 0 for r in reached.values())
    each = sum(r.per_row or 0 for r in reached.values())
    limit = _limit(heard)
    near: list[int] = [
        rows(copy.snapshot, t.table_oid) or 0 for t in nearest if t.table_oid in reached
    ]
    tviews = [r.tview for r in reached.values()]
    if whole and near and max(near) >= limit:
        heard.say("write/too-many", oid, tviews=tviews, rows=f"{total:,}", other=f"{limit:,}")
    elif whole and total >= limit * SHARE_OF_QUEUE:
        heard.say("write/many", oid, tviews=tviews, rows=f"{total:,}")
    elif whole and total:
        heard.say("write/whole", oid, tviews=tviews, rows=f"{total:,}")
    elif each and not few:
        heard.say("write/each", oid, tviews=tviews, rows=f"{each:,}")
    else:
        heard.say("write", oid)


def _limit(heard: Heard) -> int:
    if heard.copy.queue:
        return heard.copy.queue
    found = next(
        (s.value for s in heard.copy.snapshot.settings if s.name.endswith(".max_queue_size")), None
    )
    return int(found) if found and found.isdigit() and int(found) > 0 else QUEUE


def copy_from(heard: Heard, node: Node) -> None:
    if node.get("is_from") and "relation" in node:
        write(heard, "CopyStmt", node)


def truncate(heard: Heard, node: Node) -> None:
    copy = heard.copy
    named = [o for r in node.get("relations", []) if (o := heard.named(r["RangeVar"])) is not None]
    cascade = node.get("behavior") == "DROP_CASCADE"
    pending, done = list(named), dict[int, None]()
    while pending:
        oid = pending.pop(0)
        if oid in done:
            continue
        done[oid] = None
        own = copy.relation(oid).qualified
        for _, table, ends in copy.foreign_keys(oid):
            if table == own:
                continue
            outside = [e for e in ends if e not in named]
            if cascade:
                pending += outside
            elif outside or not ends:
                heard.say("truncate/referenced", oid, other=table)
    for oid in done:
        _truncated(heard, oid)


def _truncated(heard: Heard, oid: int) -> None:
    copy = heard.copy
    tview = copy.tview(oid)
    nearest = copy.nearest(oid)
    if copy.ours(oid):
        heard.say("catalog", oid)
    elif tview is not None:
        heard.say("tview-truncate", oid, tviews=[tview, *nearest])
    else:
        untold = _untold(heard, oid, nearest)
        heard.upto.update(dict.fromkeys(t.label for t in copy.affected(oid)))
        if untold:
            heard.say("truncate/stale", oid, tviews=untold)
        else:
            heard.say("truncate", oid, tviews=nearest)


def _untold(heard: Heard, oid: int, nearest: list[Tview]) -> list[Tview]:
    off = heard.copy.off.get(oid, set())
    return [t for t in nearest if heard.copy.replicating or t.entity in off]
