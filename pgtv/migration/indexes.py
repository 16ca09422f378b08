"""Indexes and maintenance: CREATE INDEX, REINDEX, VACUUM, LOCK."""

from __future__ import annotations

from pgtv.definitions.parse import Node
from pgtv.migration.heard import Heard
from pgtv.migration.model import Mode


def _option(node: Node, name: str, key: str = "params") -> bool:
    return any(p["DefElem"].get("defname") == name for p in node.get(key, []))


def create(heard: Heard, node: Node) -> None:
    concurrent = node.get("concurrent", False)
    if concurrent:
        heard.concurrently("CREATE INDEX CONCURRENTLY")
    oid = heard.named(node["relation"])
    if oid is not None:
        only = not node["relation"].get("inh", False)
        heard.say("create-index/concurrently" if concurrent else "create-index", oid, only=only)


def reindex(heard: Heard, node: Node) -> None:
    concurrent = _option(node, "concurrently")
    if concurrent:
        heard.concurrently("REINDEX CONCURRENTLY")
    copy = heard.copy
    relation = node.get("relation", {})
    if node.get("kind") == "REINDEX_OBJECT_INDEX":
        name, schema = relation.get("relname"), relation.get("schemaname")
        found = [
            i.relation for i in copy.snapshot.indexes
            if i.name == name and i.relation in copy.labels
            and copy.labels[i.relation][0] in ((schema,) if schema else copy.path)
        ]  # fmt: skip
    elif node.get("kind") == "REINDEX_OBJECT_TABLE":
        oid = heard.named(relation)
        all_of = [oid, *copy.parts(oid)] if oid is not None else []
        found = [o for o in all_of if copy.relation(o).kind in "rm"]
    else:
        schema = node.get("name")
        whole = node.get("kind") != "REINDEX_OBJECT_SCHEMA"
        found = [o for o, (place, _) in copy.labels.items() if whole or place == schema]
        found = [o for o in found if copy.relation(o).kind in "rm" and not copy.ours(o)]
    for oid in dict.fromkeys(found):
        heard.say("reindex/concurrently" if concurrent else "reindex", oid)


def vacuum(heard: Heard, node: Node) -> None:
    full = _option(node, "full", "options")
    if node.get("is_vacuumcmd"):
        heard.concurrently("VACUUM")
    for item in node.get("rels", []):
        oid = heard.named(item["VacuumRelation"].get("relation", {}))
        if oid is not None:
            heard.say("vacuum-full" if full else "vacuum", oid)
            if not full:
                for part in heard.copy.parts(oid):
                    heard.lock(part, Mode.SHARE_UPDATE_EXCLUSIVE)


def lock(heard: Heard, node: Node) -> None:
    mode = list(Mode)[node.get("mode", 8) - 1]
    for item in node.get("relations", []):
        target = item["RangeVar"]
        oid = heard.named(target)
        if oid is not None and mode.rank >= Mode.ROW_EXCLUSIVE.rank:
            heard.say("lock-table", oid)
            for one in (oid, *(heard.copy.parts(oid) if target.get("inh") else ())):
                heard.lock(one, mode)
