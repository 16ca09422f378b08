"""Calls of the extension: what making, redefining, dropping and refreshing a TVIEW does."""

from __future__ import annotations

import functools
from typing import Any

from pgtv.catalog.dialects.base import CALLS, DEFAULT_OPTIONS
from pgtv.definitions.parse import Node, select
from pgtv.definitions.reads import Reads
from pgtv.definitions.walk import read
from pgtv.errors import DefinitionError
from pgtv.lint.facts import Definition, Facts
from pgtv.lint.making import create_table_as, select_calls
from pgtv.lint.place import string
from pgtv.migration import recast
from pgtv.migration.dropping import drop_tview
from pgtv.migration.heard import Heard
from pgtv.migration.model import Mode
from pgtv.migration.same import changed_outputs, columns_of, same_query


def create_as(heard: Heard, node: Node) -> None:
    """CREATE TABLE … AS: of a TVIEW where the name says so."""
    facts = Facts()
    if heard.step.place is not None:
        create_table_as(heard.step.place, node, facts)
    for definition in facts.definitions:
        _define(heard, definition)
    if not facts.definitions:
        rel = node["into"]["rel"]
        heard.then.append(lambda: heard.copy.make(rel.get("schemaname"), rel["relname"]))


def calls(heard: Heard, node: Node) -> bool:
    """What a SELECT calls of the extension; whether it called anything."""
    facts = Facts()
    if heard.step.place is not None:
        select_calls(heard.step.place, node, facts)
    for definition in facts.definitions:
        _define(heard, definition)
    for kind, what in facts.events:
        if kind == "drop":
            oid = heard.copy.find_tview(*what)
            if oid is not None and oid >= 0 and heard.copy.tview(oid):
                drop_tview(heard, oid, _cascades(node))
            elif oid is not None:
                heard.then.append(functools.partial(heard.copy.forget, *what))
    others = [c for c in found_calls(node) if c["funcname"][-1]["String"]["sval"] in CALLS]
    for call in others:
        _other(heard, CALLS[call["funcname"][-1]["String"]["sval"]], call)
    return bool(facts.definitions or facts.events or others)


def found_calls(node: Any) -> list[Node]:
    """Function calls anywhere below a node."""
    if isinstance(node, list):
        return [c for n in node for c in found_calls(n)]
    if not isinstance(node, dict):
        return []
    own = [node["FuncCall"]] if "FuncCall" in node else []
    return [*own, *(c for v in node.values() if isinstance(v, dict | list) for c in found_calls(v))]


def _cascades(node: Node) -> bool:
    """Whether the drop was called with its third argument, or `cascade`, true."""
    for call in found_calls(node):
        arguments = call.get("args", [])
        values = [a for i, a in enumerate(arguments) if i == 2 and "NamedArgExpr" not in a]
        values += [a["NamedArgExpr"]["arg"] for a in arguments
                   if a.get("NamedArgExpr", {}).get("name") == "cascade"]  # fmt: skip
        if any(v.get("A_Const", {}).get("boolval", {}).get("boolval") for v in values):
            return True
    return False


def _other(heard: Heard, verb: str, call: Node) -> None:
    copy = heard.copy
    given = string((call.get("args") or [None])[0])
    if verb in ("refresh", "refresh-all"):
        chosen = list(copy.snapshot.tviews)
        if verb == "refresh":
            name = given[0] if given else ""
            chosen = [
                t for t in chosen if name in (t.entity, t.name, t.label, t.label.replace('"', ""))
            ]
        reached = {t.table_oid: t for c in chosen for t in copy.graph.affected([c.table_oid])}
        for tview in reached.values():
            heard.lock(tview.table_oid, Mode.ACCESS_EXCLUSIVE)
            heard.rewritten[tview.table_oid] = None
        if reached:
            heard.say("tview-refresh", None, tviews=reached.values())
    elif verb == "reregister":
        heard.say("reregister")
    elif verb == "suspend":
        heard.say("suspend")


def _reads(heard: Heard, query: str | Node | None) -> Reads | None:
    try:
        return read(query, heard.copy.known_columns) if query is not None else None
    except DefinitionError:
        return None


def _tables(heard: Heard, reads: Reads | None) -> list[int]:
    """Tables and TVIEWs that a definition reads, helper views followed, partitions too."""
    copy = heard.copy
    found: dict[int, None] = {}
    pending = [copy.find(*name) for name in (reads.relations if reads else ())]
    while pending:
        oid = pending.pop(0)
        if oid is None or oid < 0 or oid in found:
            continue
        if copy.relation(oid).kind in "vm":
            pending += sorted(copy.graph.reads.get(oid, ()))
        else:
            found[oid] = None
    return list(found)


def _define(heard: Heard, definition: Definition) -> None:
    copy = heard.copy
    reads = _reads(heard, definition.query if definition.query is not None else definition.node)
    oid = copy.find_tview(definition.schema, definition.table)
    if oid is not None and oid >= 0 and copy.tview(oid) is not None:
        if definition.if_not_exists:
            return
        if not definition.replaces:
            heard.say("tview-exists", oid, tviews=[copy.graph.tviews[oid]])
            return
        _redefine(heard, oid, definition, reads)
    else:
        heard.create_on(_tables(heard, reads))
        heard.created(definition.name)
        heard.then.append(lambda: copy.make(definition.schema, definition.table))
    if reads is not None:
        what = "is redefined" if oid is not None and oid >= 0 else "is made"
        names = frozenset(reads.relations)
        heard.then.append(lambda: copy.made.update({definition.name: (names, what)}))


def _redefine(heard: Heard, oid: int, definition: Definition, reads: Reads | None) -> None:
    copy, tview = heard.copy, heard.copy.graph.tviews[oid]
    query = definition.query
    heard.makes = tview.label
    if query is None:
        heard.say("dynamic", None, other=f"the definition of {definition.name}", tviews=[tview])
        return
    if same_query(tview.definition, query, copy):
        _altered(heard, oid, definition.options)
        return
    after = _tables(heard, reads)
    reached = {t.table_oid for t in copy.graph.affected([oid])}
    circle = [copy.graph.tviews[o] for o in after if o in reached]
    if circle:
        heard.say("tview-cycle", oid, tviews=[tview, *(t for t in circle if t is not tview)])
        return
    before = columns_of(tview.definition, copy)
    names = columns_of(query, copy)
    if names is None or before is None:
        heard.say("tview-types", oid, tviews=[tview])
    elif names != before:
        _rebuilt(heard, oid, after)
        return
    _replaced(heard, oid, query, after)


def _altered(heard: Heard, oid: int, given: dict[str, Any] | None) -> None:
    """The same query: what is done follows from which options change."""
    now = heard.copy.graph.tviews[oid].options
    if given is None or not now:
        heard.say("tview-altered", oid)
        return
    changed = {
        name for name, default in DEFAULT_OPTIONS.items()
        if name in now and given.get(name, default) != now[name]
    }  # fmt: skip
    if not changed:
        heard.say("tview-unchanged", oid)
    elif "logged" in changed:
        heard.say("tview-altered/persistence", oid, tviews=[heard.copy.graph.tviews[oid]])
    elif changed & {"data_storage", "data_compression"}:
        heard.say("tview-altered/columns", oid)
    elif changed & {"data_gin_index", "indexes"}:
        heard.say("tview-altered/indexes", oid)
    elif changed & {"fillfactor", "toast_tuple_target"}:
        heard.say("tview-altered", oid)
    else:
        heard.say("tview-altered/quiet", oid)


def _rebuilt(heard: Heard, oid: int, after: list[int]) -> None:
    copy, tview = heard.copy, heard.copy.graph.tviews[oid]
    if copy.users(oid):
        heard.say("tview-rebuilt/read", oid, tviews=copy.nearest(oid))
        return
    for one in copy.carrying([tview.entity]):
        heard.lock(one, Mode.ACCESS_EXCLUSIVE)
    heard.create_on(after)
    heard.say("tview-rebuilt", oid, tviews=[tview])


def _replaced(heard: Heard, oid: int, query: str, after: list[int]) -> None:
    """The extension writes the rows of the TVIEW and of its direct readers, and stops there."""
    copy, tview = heard.copy, heard.copy.graph.tviews[oid]
    carried = copy.carrying([tview.entity])
    new = {p for o in after for p in (o, *copy.parts(o))}
    for one in carried:
        if one not in new:
            heard.lock(one, Mode.ACCESS_EXCLUSIVE)
    heard.create_on([o for o in after if o not in carried])
    readers = [o for o in sorted(copy.graph.readers.get(oid, ())) if copy.tview(o)]
    changed = changed_outputs(tview.definition, query, copy)
    reached = {
        r.tview.table_oid: r
        for column in (changed if changed is not None else {None})
        for r in copy.reached(oid, column)
    }
    touched = [o for o in readers if o in reached]
    for one in (oid, *touched):
        heard.lock(one, Mode.EXCLUSIVE)
    for one in (*after, *(o for r in (oid, *touched) for o in copy.tables_of(r))):
        for part in (one, *copy.parts(one)):
            heard.lock(part, Mode.SHARE)
    heard.say("tview-replaced", oid, tviews=[tview, *(copy.graph.tviews[o] for o in touched)])
    stale = {
        r.tview.table_oid: r.tview for r in reached.values()
        if len(r.path) == 3 and r.tview.table_oid not in touched
    }  # fmt: skip
    if stale:
        heard.say("tview-replaced/stale", oid, tviews=stale.values())
    if not _typed_alike(heard, oid, query, changed):
        heard.say("tview-types", oid, tviews=[tview])


def _typed_alike(heard: Heard, oid: int, query: str, changed: set[str] | None) -> bool:
    """Whether the columns that changed have surely the types that they had."""
    copy = heard.copy
    types = {c.name: recast.of_catalog(c.type) for c in copy.relation(oid).columns}
    try:
        targets = [t["ResTarget"] for t in select(query).get("targetList", [])]
        outputs = read(query, copy.known_columns).outputs
    except (DefinitionError, KeyError):
        return False
    for target, output in zip(targets, outputs, strict=False):
        name = output.name
        if name is None or (changed is not None and name not in changed):
            continue
        if _type_of(target["val"], output.columns, heard) != types.get(name):
            return False
    return True


_JSONB = frozenset(
    {"jsonb_build_object", "jsonb_agg", "jsonb_build_array", "to_jsonb", "jsonb_object_agg"}
)


def _type_of(value: Node, columns: Any, heard: Heard) -> Any:
    kind, node = next(iter(value.items()))
    if kind == "TypeCast":
        return recast.typed(node["typeName"])
    if kind == "FuncCall" and node["funcname"][-1]["String"]["sval"] in _JSONB:
        return ("jsonb", (), False)
    if kind == "ColumnRef" and len(columns) == 1:
        ((schema, name), column) = next(iter(columns))
        oid = heard.copy.find(schema, name)
        if oid is not None and oid >= 0:
            kept = heard.copy.column(oid, column)
            found = next((c.type for c in heard.copy.relation(oid).columns if c.name == kept), None)
            return recast.of_catalog(found) if found else None
    return None
