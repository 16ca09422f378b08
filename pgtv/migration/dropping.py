"""DROP of anything that TVIEWs stand on."""

from __future__ import annotations

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.definitions.parse import Node
from pgtv.migration.heard import Heard
from pgtv.migration.model import Mode
from pgtv.migration.objects import drop_function, drop_type
from pgtv.migration.triggers import drop_trigger
from pgtv.migration.usage import described, falling
from pgtv.migration.words import listed


def drop(heard: Heard, node: Node) -> None:
    kind = node.get("removeType", "")
    cascade = node.get("behavior") == "DROP_CASCADE"
    if node.get("concurrent"):
        heard.concurrently("DROP INDEX CONCURRENTLY")
    if kind in ("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE"):
        for item in node.get("objects", []):
            drop_function(heard, item.get("ObjectWithArgs", {}), cascade)
        return
    if kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        for item in node.get("objects", []):
            names = [n["String"]["sval"] for n in item.get("TypeName", {}).get("names", [])]
            drop_type(heard, names[-1] if names else "", cascade)
        return
    if kind == "OBJECT_SCHEMA":
        for item in node.get("objects", []):
            _schema(heard, item["String"]["sval"], cascade)
        return
    if kind == "OBJECT_EXTENSION":
        if any(item["String"]["sval"] == EXTENSION for item in node.get("objects", [])):
            _extension(heard, cascade)
        return
    for item in node.get("objects", []):
        names = [n["String"]["sval"] for n in item.get("List", {}).get("items", [])]
        _named(heard, kind, names, cascade, bool(node.get("concurrent")))


def _named(heard: Heard, kind: str, names: list[str], cascade: bool, concurrent: bool) -> None:
    copy = heard.copy
    if kind == "OBJECT_INDEX":
        _index(heard, names, concurrent)
        return
    if kind in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
        table = names[:-1]
        oid = copy.find(table[-2] if len(table) > 1 else None, table[-1]) if table else None
        if oid is None or oid < 0:
            return
        if kind == "OBJECT_TRIGGER":
            drop_trigger(heard, oid, names[-1])
        else:
            heard.say("policy" if kind == "OBJECT_POLICY" else "drop-rule", oid)
        return
    if kind not in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"):
        return
    schema, name = (names[-2] if len(names) > 1 else None), names[-1]
    oid = copy.find(schema, name)
    if oid is None:
        return
    if oid < 0:
        heard.then.append(lambda: copy.forget(schema, name))
    elif copy.relation(oid).kind in "vm":
        _view(heard, oid, cascade)
    elif copy.tview(oid) is not None:
        drop_tview(heard, oid, cascade)
    else:
        _table(heard, oid, cascade)


def _table(heard: Heard, oid: int, cascade: bool) -> None:
    copy, relation = heard.copy, heard.copy.relation(oid)
    if copy.ours(oid):
        heard.say("catalog", oid)
        return
    parts = copy.parts(oid)
    users = [read.reader for read in copy.snapshot.reads if read.relation in {oid, *parts}]
    foreign = copy.foreign_keys(oid)
    referring = [table for _, table, _ in foreign if table != relation.qualified]
    ends = [o for _, _, found in foreign for o in found]
    ends += [p for o in ends for p in copy.parts(o)]
    if (users or referring) and not cascade:
        said = [*([described(copy, users)] if users else []),
                *([f"foreign keys of {listed(referring)}"] if referring else [])]  # fmt: skip
        heard.say("drop-table/used", oid, tviews=copy.nearest(oid), uses=" and ".join(said))
        return
    if relation.partition_of is not None:
        heard.say("drop-partition", oid, others=[relation.partition_of])
        heard.upto.update(dict.fromkeys(t.label for t in copy.affected(oid)))
    elif users:
        heard.say("drop-table/cascade", oid, others=ends, tviews=falling(heard, users))
    else:
        heard.say("drop-table", oid, others=ends)
    heard.then.append(lambda: copy.drop([oid, *parts]))


def drop_tview(heard: Heard, oid: int, cascade: bool) -> None:
    """DROP TABLE tv_… and the extension's own call."""
    copy = heard.copy
    tview = copy.graph.tviews[oid]
    readers = copy.users(oid)
    if not readers or cascade:
        tviews = falling(heard, [tview.view_oid])
        rule = "tview-drop/cascade" if readers else "tview-drop"
        heard.say(rule, oid, tviews=tviews)
    else:
        heard.say("tview-drop/used", oid, tviews=copy.nearest(oid))


def _view(heard: Heard, oid: int, cascade: bool) -> None:
    copy = heard.copy
    backing = copy.backing(oid)
    if backing is not None:
        heard.say("drop-view/backing", oid, tviews=[backing])
        return
    users = copy.users(oid)
    kind = "matview" if copy.relation(oid).kind == "m" else "view"
    if not users:
        heard.say("drop-view", oid)
        heard.then.append(lambda: copy.drop([oid]))
    elif cascade:
        heard.say(f"drop-{kind}/cascade", oid, tviews=falling(heard, users))
        heard.then.append(lambda: copy.drop([oid]))
    else:
        heard.say(f"drop-{kind}/used", oid, tviews=copy.nearest(oid), uses=described(copy, users))


def _index(heard: Heard, names: list[str], concurrent: bool) -> None:
    copy = heard.copy
    schema, name = (names[-2] if len(names) > 1 else None), names[-1]
    for index in copy.snapshot.indexes:
        place = copy.labels.get(index.relation)
        if index.name != name or place is None:
            continue
        if place[0] != schema if schema is not None else place[0] not in copy.path:
            continue
        if index.constraint:
            heard.say("drop-index/key", index.relation)
        elif concurrent:
            heard.say("drop-index/concurrently", index.relation)
        else:
            _plain_index(heard, index.relation, index.columns[0] if index.columns else "", name)
        return


def _plain_index(heard: Heard, oid: int, column: str, name: str) -> None:
    """An index that leads with a column by which a TVIEW is looked up, and no other one does."""
    copy = heard.copy
    leading = [i.name for i in copy.snapshot.indexes_on.get(oid, []) if i.columns[:1] == (column,)]
    looked_up = [t for t in copy.nearest(oid) if column in _links(t.plan, oid)]
    own = copy.tview(oid)
    if own is not None and name in own.managed_indexes:
        looked_up = [own]
    if looked_up and leading == [name]:
        heard.say("drop-index/lookup", oid, tviews=looked_up, column=column)
    else:
        heard.say("drop-index", oid)


def _links(plan: object, oid: int) -> set[str]:
    """Columns of a base table by which the extension's plan finds the rows of a TVIEW."""
    tables = plan.get("tables") if isinstance(plan, dict) else None
    return {
        str(t["column"]) for t in tables or ()
        if isinstance(t, dict) and t.get("relid") == oid and t.get("column")
    }  # fmt: skip


def _schema(heard: Heard, schema: str, cascade: bool) -> None:
    copy = heard.copy
    held = [o for o, (place, _) in copy.labels.items() if place == schema]
    if not held:
        return
    if schema == copy.snapshot.extension.schema:
        heard.say("catalog", held[0])
        return
    names = listed(copy.label(o) for o in held)
    if not cascade:
        heard.say("drop-schema/used", None, other=schema, uses=names,
                  tviews=[t for o in held if (t := copy.tview(o))])  # fmt: skip
        return
    views = [t.view_oid for o in held if (t := copy.tview(o))]
    tviews = falling(heard, [*(u for o in held for u in copy.users(o)), *views])
    for oid in held:
        for one in (oid, *(e for _, _, ends in copy.foreign_keys(oid) for e in ends)):
            heard.lock(one, Mode.ACCESS_EXCLUSIVE)
    heard.say("drop-schema/cascade", None, other=schema, uses=names, tviews=tviews)
    heard.then.append(lambda: copy.drop(held))


def _extension(heard: Heard, cascade: bool) -> None:
    copy = heard.copy
    tviews = copy.snapshot.tviews
    if not tviews:
        return
    count = str(len(tviews))
    if not cascade:
        heard.say("drop-extension/used", None, tviews=tviews, rows=count)
        return
    for oid in copy.carrying(t.entity for t in tviews):
        heard.lock(oid, Mode.ACCESS_EXCLUSIVE)
    heard.say("drop-extension/cascade", None, tviews=tviews, rows=count)
