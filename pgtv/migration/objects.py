"""Views, functions, types, materialized views and schemas that definitions stand on."""

from __future__ import annotations

from collections.abc import Iterable

from pgtv.catalog.model import Function, Tview
from pgtv.definitions.parse import Node
from pgtv.definitions.walk import read
from pgtv.errors import DefinitionError
from pgtv.migration.heard import Heard
from pgtv.migration.same import columns_of, same_query
from pgtv.migration.usage import falling
from pgtv.migration.words import listed


def replace_view(heard: Heard, node: Node) -> None:
    """CREATE OR REPLACE VIEW, and CREATE VIEW of a name that is free."""
    view, copy = node["view"], heard.copy
    oid = copy.find(view.get("schemaname"), view["relname"])
    if oid is None or oid < 0:
        heard.then.append(lambda: copy.make(view.get("schemaname"), view["relname"]))
        return
    body = node.get("query", {}).get("SelectStmt")
    relation = copy.relation(oid)
    if not node.get("replace") or relation.kind != "v" or body is None:
        heard.say("view-exists", oid)
        return
    backing = copy.backing(oid)
    tviews = copy.nearest(oid)
    if relation.definition and same_query(relation.definition, body, copy):
        heard.say("replace-view/same", oid)
        return
    before = [c.name for c in relation.columns]
    after = columns_of(body, copy)
    if before and after is not None and after[: len(before)] != before:
        heard.say("replace-view/columns", oid)
    elif backing is not None:
        heard.say("replace-view/backing", oid, tviews=[backing])
    elif not tviews:
        heard.say("replace-view", oid)
    else:
        _replaced(heard, oid, body, tviews)


def _replaced(heard: Heard, oid: int, body: Node, tviews: list[Tview]) -> None:
    copy = heard.copy
    try:
        found = read(body, copy.known_columns)
    except DefinitionError:
        found = None
    reads = [] if found is None else [copy.find(*name) for name in found.relations]
    known = [o for o in reads if o is not None and o >= 0]
    circle = [
        t for o in known for t in ([copy.tview(o)] if copy.tview(o) else [])
        if t is not None and (t in tviews or t in copy.affected(oid))
    ]  # fmt: skip
    if circle:
        heard.say("replace-view/cycle", oid, tviews=circle)
    before = set(copy.graph.reads.get(oid, ()))
    new = [o for o in known if o not in before]
    missing = [
        o for o in new if not {t.entity for t in tviews} <= {t.entity for t in copy.triggers(o)}
    ]
    strange = [
        ".".join(p for p in name if p)
        for name, oid in zip(found.relations if found else (), reads, strict=True)
        if oid is None or oid < 0
    ]
    if (missing or strange) and not circle:
        other = listed([*(copy.label(o) for o in missing), *strange])
        heard.say("replace-view/tables", oid, tviews=tviews, other=other)
    heard.say("replace-view/stale", oid, tviews=tviews)


def refresh_matview(heard: Heard, node: Node) -> None:
    oid = heard.named(node["relation"])
    if oid is None or heard.copy.relation(oid).kind != "m":
        return
    tviews = heard.copy.nearest(oid)
    if not tviews:
        heard.say("refresh-matview", oid)
    elif node.get("concurrent"):
        heard.say("refresh-matview/concurrently", oid, tviews=tviews)
    else:
        heard.say("refresh-matview/stale", oid, tviews=tviews)


def _functions(heard: Heard, names: list[str], arguments: int | None) -> list[Function]:
    """Functions of definitions that go by a name; of several with it those that take as many arguments."""
    schema, name = (names[-2] if len(names) > 1 else None), names[-1] if names else ""
    found = []
    for function in heard.copy.snapshot.functions:
        head, _, tail = function.signature.partition("(")
        place, _, own = head.rpartition(".")
        if own.strip('"') != name or (schema and place and place.strip('"') != schema):
            continue
        inside = tail.rstrip(")").strip()
        if arguments is None or arguments == (inside.count(",") + 1 if inside else 0):
            found.append(function)
    return found


def callers(heard: Heard, functions: Iterable[Function]) -> tuple[list[int], list[Tview]]:
    """Views that call a function, and the TVIEWs that stand on them."""
    oids = {f.oid for f in functions}
    views = [r.reader for r in heard.copy.snapshot.reads if r.function in oids]
    return views, _standing(heard, views)


def create_function(heard: Heard, node: Node) -> None:
    names = [n["String"]["sval"] for n in node.get("funcname", [])]
    takes = [p["FunctionParameter"] for p in node.get("parameters", [])]
    inputs = [p for p in takes if p.get("mode") not in ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")]
    heard.then.append(lambda: heard.copy.made_functions.add(names[-1]))
    if not node.get("replace"):
        return
    functions = _functions(heard, names, len(inputs))
    _, tviews = callers(heard, functions)
    if tviews:
        heard.say(
            "replace-function", None, tviews=tviews, other=listed(f.signature for f in functions)
        )


def drop_function(heard: Heard, item: Node, cascade: bool) -> None:
    names = [n["String"]["sval"] for n in item.get("objname", [])]
    count = None if item.get("args_unspecified") else len(item.get("objargs", []))
    functions = _functions(heard, names, count)
    views, tviews = callers(heard, functions)
    if not views:
        return
    called = listed(f.signature for f in functions)
    if cascade:
        heard.say("drop-function/cascade", None, tviews=falling(heard, views), other=called)
    else:
        heard.say("drop-function/used", None, tviews=tviews, other=called)


def alter_function(heard: Heard, item: Node, renamed: bool) -> None:
    names = [n["String"]["sval"] for n in item.get("objname", [])]
    count = None if item.get("args_unspecified") else len(item.get("objargs", []))
    functions = _functions(heard, names, count)
    _, tviews = callers(heard, functions)
    if tviews:
        rule = "rename-function" if renamed else "alter-function"
        heard.say(rule, None, tviews=tviews, other=listed(f.signature for f in functions))


def _of_type(heard: Heard, name: str) -> tuple[list[int], list[tuple[int, str]]]:
    """Views that read a column of a type, and those columns."""
    copy = heard.copy
    columns = [
        (r.oid, c.name) for r in copy.snapshot.relations for c in r.columns
        if c.type.removesuffix("[]").rsplit(".", 1)[-1].strip('"') == name and r.kind in "rpf"
    ]  # fmt: skip
    return list(dict.fromkeys(u for o, c in columns for u in copy.users(o, c))), columns


def drop_type(heard: Heard, name: str, cascade: bool) -> None:
    views, columns = _of_type(heard, name)
    if not columns:
        return
    tviews = _standing(heard, views)
    if not cascade:
        heard.say("drop-type/used", None, tviews=tviews, other=name)
        return
    fallen = falling(heard, views)
    for oid in dict.fromkeys(o for o, _ in columns):
        heard.say("drop-type/cascade", oid, tviews=fallen, other=name)


def _standing(heard: Heard, views: list[int]) -> list[Tview]:
    """The TVIEWs whose definition stands on these views."""
    tviews: dict[int, Tview] = {}
    for view in views:
        own = heard.copy.backing(view)
        tviews.update({t.table_oid: t for t in ([own] if own else heard.copy.nearest(view))})
    return sorted(tviews.values(), key=lambda t: t.label)


def alter_enum(heard: Heard, node: Node) -> None:
    name = node["typeName"][-1]["String"]["sval"]
    if not node.get("oldVal"):
        heard.say("add-enum-value")
        return
    views, columns = _of_type(heard, name)
    tviews = {t.table_oid: t for o, _ in columns for t in heard.copy.nearest(o)}
    if tviews:
        heard.say("rename-enum-value", None, tviews=_standing(heard, views), other=name)
        heard.upto.update(
            dict.fromkeys(t.label for o, _ in columns for t in heard.copy.affected(o))
        )
