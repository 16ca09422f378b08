"""The walk behind `read`: one pass over a SelectStmt, scopes as small dictionaries.

Here are SELECT, set operations and WITH; FROM is in `sources`, expressions are in `values`.
"""

from __future__ import annotations

from pgtv.definitions.parse import Node, select
from pgtv.definitions.reads import (
    WHOLE,
    Column,
    Columns,
    Level,
    Output,
    Reads,
    Use,
)
from pgtv.definitions.scope import Open, Result, Scope, Source
from pgtv.definitions.sources import Sources
from pgtv.definitions.tree import first_location, mentions, name_of, strings

_Set = set[Column]


def read(definition: str | Node, columns: Columns | None = None) -> Reads:
    """What a definition reads. `columns` tells the columns of a relation, None for unknown.

    definition: SQL text, or a SelectStmt as pgtv.definitions.parse gives it.
    Raises DefinitionError for text that is not one SELECT.
    """
    node = select(definition) if isinstance(definition, str) else definition
    walk = _Walk(columns)
    try:
        result = walk.select(node, None, {}, "top", None)
    except RecursionError:
        from pgtv.errors import DefinitionError

        raise DefinitionError("the definition nests too deeply to be read") from None
    reads = walk.reads
    reads.outputs, reads.rows = result.outputs, frozenset(result.rows)
    for output in result.outputs:
        walk.use(output.columns, Use.OUTPUT)
    return reads


class _Walk(Sources):
    def select(
        self, node: Node, outer: Scope | None, ctes: dict[str, Source], place: str,
        parent: int | None,
    ) -> Result:  # fmt: skip
        index = len(self.reads.levels)
        level = Level(place, parent)
        self.reads.levels.append(level)
        if "withClause" in node:
            ctes = self._with(node["withClause"], outer, ctes, index)
        scope = Scope(outer, ctes, index)
        if node.get("op", "SETOP_NONE") != "SETOP_NONE":
            result = self._set_operation(node, scope, place, index)
        elif "valuesLists" in node:
            result = self._values(node, scope)
        else:
            result = self._plain(node, scope, level)
        if "limitCount" in node or "limitOffset" in node:
            # LIMIT ALL and LIMIT NULL are no limit
            count = node.get("limitCount")
            if count is not None and not count.get("A_Const", {}).get("isnull"):
                level.limit = first_location(count)
            if "limitOffset" in node:
                level.offset = first_location(node["limitOffset"])
        level.ordered = "sortClause" in node
        level.locking = "lockingClause" in node
        if level.limit is not None or level.offset is not None:
            result.rows |= self._order(node, scope, result)
        elif level.ordered:
            self._order(node, scope, result)
        return result

    def _with(
        self, clause: Node, outer: Scope | None, ctes: dict[str, Source], level: int
    ) -> dict[str, Source]:
        inner = dict(ctes)
        recursive = clause.get("recursive", False)
        for item in clause.get("ctes", ()):
            cte = item["CommonTableExpr"]
            name = cte["ctename"]
            aliases = strings(cte.get("aliascolnames"))
            body = cte["ctequery"].get("SelectStmt")
            if body is None:  # a data-modifying statement: no definition has one
                inner[name] = Source(name, None, {})
                continue
            place = "cte"
            if recursive and body.get("op", "SETOP_NONE") != "SETOP_NONE":
                # what the first term gives is what the recursive term sees of itself
                seed = _Walk(self.known).select(body["larg"], outer, inner, "cte", None)
                inner[name] = seed.source(name, aliases)
                inner[name].columns = inner[name].columns or {}
                if mentions(body["rarg"], name):
                    place = "recursive"
            inner[name] = self.select(body, outer, inner, place, level).source(name, aliases)
        return inner

    def _set_operation(self, node: Node, scope: Scope, place: str, index: int) -> Result:
        if place == "top":
            self.reads.set_operation = True
        inside = place if place == "recursive" else "union"
        left = self.select(node["larg"], scope.outer, scope.ctes, inside, index)
        right = self.select(node["rarg"], scope.outer, scope.ctes, inside, index)
        outputs = [
            Output(a.name, a.columns | b.columns, a.location)
            for a, b in zip(left.outputs, right.outputs, strict=False)
        ] or left.outputs
        if len(left.outputs) > len(right.outputs):  # a star on one side hides how many there are
            outputs += left.outputs[len(right.outputs) :]
        rows = left.rows | right.rows
        if node["op"] != "SETOP_UNION" or not node.get("all"):
            rows = rows.union(*(o.columns for o in outputs))
        for child in self.reads.levels:
            if child.parent == index and child.relations:
                self.reads.levels[index].relations = True
        return Result(outputs, rows)

    def _values(self, node: Node, scope: Scope) -> Result:
        outputs: list[set[Column]] = []
        rows: _Set = set()
        for row in node["valuesLists"]:
            for i, item in enumerate(row["List"]["items"]):
                values: _Set = set()
                self.expression(item, scope, values, rows)
                if i == len(outputs):
                    outputs.append(set())
                outputs[i] |= values
        named = [Output(f"column{i + 1}", frozenset(o)) for i, o in enumerate(outputs)]
        return Result(named, rows)

    def _plain(self, node: Node, scope: Scope, level: Level) -> Result:
        rows: _Set = set()
        for item in node.get("fromClause", ()):
            scope.sources += self.from_item(item, scope, rows)
        if "whereClause" in node:
            self.condition(node["whereClause"], scope, Use.FILTER, rows)
        outputs = [o for t in node.get("targetList", ()) for o in self._target(t, scope, level)]
        if "groupClause" in node:
            level.grouped = True
            rows |= self._keys(node["groupClause"], scope, outputs, Use.GROUP)
        if "havingClause" in node:
            self.condition(node["havingClause"], scope, Use.FILTER, rows)
        if "distinctClause" in node:
            level.distinct = True
            keys = [d for d in node["distinctClause"] if d]
            for key in keys:
                columns = frozenset(self._keys([key], scope, outputs, Use.GROUP))
                level.distinct_on.append(
                    (columns, first_location(key), "ColumnRef" in key or "A_Const" in key)
                )
                rows |= columns
            if keys:
                sorted_by = node.get("sortClause", ())
                level.distinct_sorted = len(sorted_by) > len(keys)
                rows |= self._order(node, scope, Result(outputs, rows))
            else:
                rows = rows.union(*(o.columns for o in outputs))
        for window in node.get("windowClause", ()):
            self._window(window["WindowDef"], scope, rows)
        return Result(outputs, rows)

    def _target(self, item: Node, scope: Scope, level: Level) -> list[Output]:
        target = item["ResTarget"]
        value = target.get("val", {})
        location = target.get("location", -1)
        ref = value.get("ColumnRef")
        if ref and "A_Star" in ref["fields"][-1]:
            level.stars.append(ref.get("location", -1))
            names = [f["String"]["sval"] for f in ref["fields"][:-1]]
            return self._star(names, scope, location)
        values: _Set = set()
        also: _Set = set()
        self.expression(value, scope, values, also)
        return [Output(target.get("name") or name_of(value), frozenset(values | also), location)]

    def _star(self, names: list[str], scope: Scope, location: int) -> list[Output]:
        sources = scope.sources
        if names:
            found = self._find_source(names, scope)
            sources = [found] if found else []
        outputs = []
        for source in sources:
            columns = source.columns
            if columns is None or isinstance(columns, Open):
                unknown = source.whole() if columns is None else columns.unknown
                if source.relation and (known := self._columns(source.relation)) is not None:
                    columns = {c: frozenset({(source.relation, c)}) for c in known}
                else:
                    outputs.append(Output(WHOLE, unknown, location))
            for name, made_of in (columns or {}).items():
                outputs.append(Output(name, made_of, location))
        return outputs

    def _keys(self, keys: list[Node], scope: Scope, outputs: list[Output], use: Use) -> _Set:
        """Columns of GROUP BY, DISTINCT ON and ORDER BY items, which may name output columns."""
        found: _Set = set()
        for key in keys:
            node = key.get("SortBy", {}).get("node", key)
            const = node.get("A_Const", {}).get("ival")
            ref = node.get("ColumnRef")
            if const is not None:
                number = const.get("ival", 0)
                if 0 < number <= len(outputs):
                    found |= outputs[number - 1].columns
                continue
            if ref and len(ref["fields"]) == 1 and "String" in ref["fields"][0]:
                name = ref["fields"][0]["String"]["sval"]
                named = next((o for o in outputs if o.name == name), None)
                own = self._unqualified(name, scope, outward=False) if use != Use.ORDER else None
                if named is not None and not own:
                    found |= named.columns
                    continue
            values: _Set = set()
            self.expression(node, scope, values, found)
            found |= values
        self.use(found, use)
        return found

    def _order(self, node: Node, scope: Scope, result: Result) -> _Set:
        return self._keys(node.get("sortClause", []), scope, result.outputs, Use.ORDER)
