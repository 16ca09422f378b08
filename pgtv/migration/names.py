"""Renames, moves to other schemas, comments, owners: what names and labels of things change."""

from __future__ import annotations

from pgtv.definitions.parse import Node
from pgtv.migration import tviews
from pgtv.migration.heard import Heard
from pgtv.migration.objects import alter_function
from pgtv.migration.owners import cannot_use, changed_owner, reading_as, superusers
from pgtv.migration.triggers import rename_trigger
from pgtv.migration.words import listed

_RELATIONS = ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE")


def rename(heard: Heard, node: Node) -> None:
    kind = node.get("renameType")
    if kind in ("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE"):
        alter_function(heard, node.get("object", {}).get("ObjectWithArgs", {}), True)
        return
    if kind == "OBJECT_SCHEMA":
        _schema(heard, node.get("subname", ""), node.get("newname", ""))
        return
    relation = node.get("relation")
    if not relation:
        return
    oid = heard.named(relation)
    new = node.get("newname", "")
    if oid is None:
        if kind in _RELATIONS:
            schema, old = relation.get("schemaname"), relation["relname"]
            heard.then.append(lambda: _moved(heard, schema, old, schema, new))
        return
    if kind in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE"):
        _column(heard, oid, node.get("subname", ""), new)
    elif kind == "OBJECT_TABCONSTRAINT":
        heard.say("rename-constraint", oid)
    elif kind == "OBJECT_TRIGGER":
        rename_trigger(heard, oid)
    elif kind == "OBJECT_POLICY":
        heard.say("policy", oid)
    elif kind in _RELATIONS:
        _relation(heard, oid, heard.copy.labels[oid][0], new)


def _moved(heard: Heard, schema: str | None, old: str, to: str | None, new: str) -> None:
    """A table that the files made goes by another name."""
    copy = heard.copy
    if copy.find(schema, old) is not None:
        copy.forget(schema, old)
        copy.make(to, new)


def _column(heard: Heard, oid: int, old: str, new: str) -> None:
    copy = heard.copy
    relation = copy.relation(oid)
    if copy.tview(oid) is not None:
        heard.say("tview-columns", oid, tviews=[copy.graph.tviews[oid]])
        return
    column = copy.column(oid, old)
    if copy.has_column(oid, old) is False:
        heard.say("no-such-column", oid, column=old)
    elif relation.kind == "v":
        heard.say("rename-view-column", oid)
    elif column is not None and copy.users(oid, column):
        heard.say("rename-column/used", oid, tviews=copy.nearest(oid), column=old)
    else:
        heard.say("rename-column", oid)

    def change() -> None:
        for one in (oid, *copy.parts(oid)):
            names = copy.columns.setdefault(one, {})
            if column is None:
                copy.added.setdefault(one, set()).discard(old)
                copy.added[one].add(new)
            else:
                names.pop(old, None)
                names[new] = column

    heard.then.append(change)


def _relation(heard: Heard, oid: int, schema: str, name: str) -> None:
    """RENAME TO or SET SCHEMA."""
    copy, relation = heard.copy, heard.copy.relation(oid)
    if copy.ours(oid):
        heard.say("catalog", oid)
        return
    if copy.tview(oid) is not None:
        tviews.renamed(heard, oid, schema, name)
        return
    reading = copy.nearest(oid)
    view = relation.kind in "vm"
    if view and not reading:
        heard.say("alter-view", oid)
    elif view:
        heard.say("rename-view", oid, tviews=reading)
    elif relation.partition_of is not None:
        heard.say("rename-partition", oid)
    else:
        heard.say("rename-table", oid, tviews=reading)
    if not view and schema != copy.labels[oid][0]:
        lacking, roles = cannot_use(copy, schema, oid)
        if lacking or lacking is None:
            rule = "set-schema/cannot-use" if lacking else "set-schema/maybe"
            heard.say(rule, tviews=reading, uses=listed(roles), other=schema)
    heard.then.append(lambda: copy.rename(oid, schema, name))


def set_schema(heard: Heard, node: Node) -> None:
    to = node.get("newschema", "")
    if node.get("objectType") in ("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE"):
        alter_function(heard, node.get("object", {}).get("ObjectWithArgs", {}), True)
        return
    relation = node.get("relation")
    if not relation or node.get("objectType") not in _RELATIONS:
        return
    oid = heard.named(relation)
    if oid is not None:
        _relation(heard, oid, to, heard.copy.labels[oid][1])
    else:
        schema, name = relation.get("schemaname"), relation["relname"]
        heard.then.append(lambda: _moved(heard, schema, name, to, name))


def _schema(heard: Heard, old: str, new: str) -> None:
    copy = heard.copy
    held = [o for o, (place, _) in copy.labels.items() if place == old]
    if not held:
        return
    if old == copy.snapshot.extension.schema:
        heard.say("catalog", held[0])
        return
    reading = {t.table_oid: t for o in held for t in copy.nearest(o)}
    reading |= {o: t for o in held if (t := copy.tview(o))}
    heard.say("rename-schema", tviews=reading.values(), other=old)

    def change() -> None:
        for oid in held:
            copy.rename(oid, new, copy.labels[oid][1])
        copy.path = tuple(new if p == old else p for p in copy.path)

    heard.then.append(change)


def alter_view(heard: Heard, oid: int, node: Node) -> None:
    for item in node.get("cmds", []):
        command = item["AlterTableCmd"]
        if command.get("subtype") == "AT_ChangeOwner":
            changed_owner(heard, oid, command, False)
        else:
            heard.say("alter-view", oid)


def comment(heard: Heard, node: Node) -> None:
    kind = node.get("objtype")
    names = [n["String"]["sval"] for n in node.get("object", {}).get("List", {}).get("items", [])]
    if kind == "OBJECT_COLUMN":
        names = names[:-1]
    if kind not in (*_RELATIONS, "OBJECT_COLUMN") or not names:
        return
    oid = heard.copy.find(names[-2] if len(names) > 1 else None, names[-1])
    if oid is not None and oid >= 0:
        heard.say("comment", oid)


def statistics(heard: Heard, node: Node) -> None:
    for item in node.get("relations", []):
        oid = heard.named(item.get("RangeVar", {}))
        if oid is not None:
            heard.say("statistics", oid)


def publication(heard: Heard, node: Node) -> None:
    for item in node.get("pubobjects", []):
        target = item.get("PublicationObjSpec", {}).get("pubtable", {}).get("relation", {})
        oid = heard.named(target)
        if oid is not None:
            heard.say("publication", oid)


def domain(heard: Heard, node: Node) -> None:
    """ALTER DOMAIN … ADD CONSTRAINT or SET NOT NULL reads every table that has a column of it."""
    if node.get("subtype") not in ("C", "O"):
        return
    name = node["typeName"][-1]["String"]["sval"]
    for relation in heard.copy.snapshot.relations:
        types = {c.type.rsplit(".", 1)[-1].strip('"') for c in relation.columns}
        if relation.kind == "r" and name in types:
            heard.say("domain-constraint", relation.oid)


def owner(heard: Heard, node: Node) -> None:
    """ALTER FUNCTION, SCHEMA, TYPE … OWNER TO: a schema's owner may use it, whoever was may not."""
    if node.get("objectType") != "OBJECT_SCHEMA":
        return
    copy = heard.copy
    schema = node.get("object", {}).get("String", {}).get("sval", "")
    to = (node.get("newowner") or {}).get("rolename")
    strong = superusers(copy)
    lost = {
        t.table_oid: (role, t)
        for o, (place, _) in copy.labels.items() if place == schema
        for role, tviews_ in reading_as(copy, o).items() if role not in strong and role != to
        for t in tviews_
    }  # fmt: skip
    if lost:
        heard.say("schema-owner", tviews=[t for _, t in lost.values()], other=schema,
                  uses=listed(dict.fromkeys(r for r, _ in lost.values())))  # fmt: skip
