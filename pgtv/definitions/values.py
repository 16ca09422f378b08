"""Expressions: the columns that make a value, and those that decide it otherwise."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from pgtv.definitions.parse import Node
from pgtv.definitions.reads import EXISTENCE, Call, Column, Columns, Reads, Relation, Use
from pgtv.definitions.scope import Open, Result, Scope, Source

_Set = set[Column]
_TIME_TYPES = frozenset({"date", "time", "timetz", "timestamp", "timestamptz"})
_MOVING = frozenset({"now", "today", "tomorrow", "yesterday"})


class Values:
    """The part of the walk that reads expressions; sub-selects in them are the walk's own."""

    def __init__(self, columns: Columns | None) -> None:
        self.reads = Reads()
        self.known = columns
        self.made: dict[Relation, dict[str, frozenset[Column]]] = {}

    @abstractmethod
    def select(
        self, node: Node, outer: Scope | None, ctes: dict[str, Source], place: str,
        parent: int | None,
    ) -> Result:  # fmt: skip
        """What one SELECT puts out, and the columns that decide which rows it has."""

    def use(self, columns: frozenset[Column] | _Set, use: Use) -> None:
        known = self.reads.columns
        for column in columns:
            if column[1] == EXISTENCE:
                continue
            uses = known.get(column)
            if uses is None:
                known[column] = {use}
            else:
                uses.add(use)

    def condition(self, node: Node, scope: Scope, use: Use, rows: _Set) -> None:
        """A WHERE, ON or HAVING: an equality of columns of two relations is a join wherever it is."""
        if node and "BoolExpr" in node and node["BoolExpr"].get("boolop") == "AND_EXPR":
            for part in node["BoolExpr"]["args"]:
                self.condition(part, scope, use, rows)
            return
        before = len(self.reads.levels)
        values: _Set = set()
        self.expression(node, scope, values, rows)
        for level in self.reads.levels[before:]:
            level.where = True
        equality = node.get("A_Expr", {})
        if (
            use is Use.FILTER
            and equality.get("kind") == "AEXPR_OP"
            and equality["name"][-1]["String"]["sval"] == "="
            and "ColumnRef" in equality.get("lexpr", {})
            and "ColumnRef" in equality.get("rexpr", {})
            and len({r for r, _ in values}) > 1
        ):
            use = Use.JOIN
        self.use(values, use)
        rows |= values

    def expression(self, node: Any, scope: Scope, values: _Set, also: _Set) -> None:
        if type(node) is list:
            for item in node:
                self.expression(item, scope, values, also)
            return
        for key, value in node.items():
            kind = type(value)
            if kind is dict:
                handler = _HANDLERS.get(key)
                if handler is not None:
                    handler(self, value, scope, values, also)
                elif key != "A_Const":
                    self.expression(value, scope, values, also)
            elif kind is list:
                for item in value:
                    self.expression(item, scope, values, also)

    def _window(self, window: Node, scope: Scope, also: _Set) -> None:
        for clause, use in (("partitionClause", Use.GROUP), ("orderClause", Use.ORDER)):
            values: _Set = set()
            self.expression(window.get(clause, []), scope, values, also)
            self.use(values, use)
            also |= values

    def _column_ref(self, node: Node, scope: Scope, values: _Set, also: _Set) -> None:
        fields = node["fields"]
        if len(fields) == 2 and "String" in fields[1]:  # alias.column, nearly always
            alias, name = fields[0]["String"]["sval"], fields[1]["String"]["sval"]
            for near in scope.sources:
                if near.name == alias:
                    columns = near.columns
                    if columns is not None and name in columns:
                        values |= columns[name]
                        return
                    break
        names = [f["String"]["sval"] for f in fields if "String" in f]
        starred = len(names) < len(fields)
        if not starred and len(names) == 1:
            values |= self._unqualified(names[0], scope)
            return
        source = self._find_source(names if starred else names[:-1], scope)
        if source is not None:
            found = source.whole() if starred else source.column(names[-1])
            values |= found
            if not found and source.relation is not None and source.columns is not None:
                self.reads.unknown[source.relation, names[-1]] = node.get("location", -1)
        elif len(names) > 1:  # a.b.c may be field c of composite column b of a
            source = self._find_source(names[:-2] or names[:1], scope)
            if source is not None:
                values |= source.column(names[-2 if len(names) > 2 else -1])

    def _find_source(self, names: list[str], scope: Scope | None) -> Source | None:
        start = scope.level if scope else -1
        while scope is not None:
            for source in scope.sources:
                if source.name == names[-1] and (
                    len(names) == 1
                    or (source.relation is not None and source.relation[0] == names[-2])
                ):
                    if scope.level != start:
                        self._correlate(start, scope.level)
                    return source
            scope = scope.outer
        return None

    def _unqualified(
        self, name: str, scope: Scope | None, outward: bool = True
    ) -> frozenset[Column]:
        start = scope.level if scope else -1
        while scope is not None:
            certain = [s for s in scope.sources if s.columns is not None and name in s.columns]
            if not certain:
                alias = next((s for s in scope.sources if s.name == name), None)
                if alias is not None:  # the row itself: to_jsonb(u)
                    if scope.level != start:
                        self._correlate(start, scope.level)
                    return alias.whole() or alias.column(name)
                certain = [
                    s for s in scope.sources if s.columns is None or isinstance(s.columns, Open)
                ]
                if certain and scope.outer is not None:
                    # it may just as well be an outer column
                    self._correlate(start, scope.outer.level)
            if certain:
                if scope.level != start:
                    self._correlate(start, scope.level)
                return frozenset().union(*(s.column(name) for s in certain))
            if not outward:
                break
            scope = scope.outer
        return frozenset()

    def _correlate(self, inner: int, outer: int) -> None:
        index: int | None = inner
        while index is not None and index != outer:
            self.reads.levels[index].correlated = True
            index = self.reads.levels[index].parent

    def _func_call(self, node: Node, scope: Scope, values: _Set, also: _Set) -> None:
        names = [n["String"]["sval"] for n in node["funcname"]]
        over = node.get("over")
        level = self.reads.levels[scope.level]
        location = node.get("location", -1)
        self.reads.functions.append(
            Call(
                names[-2] if len(names) > 1 else None,
                names[-1],
                len(node.get("args", ())),
                location,
                scope.level,
                over is not None,
                "agg_order" in node or node.get("agg_within_group", False),
                node.get("agg_distinct", False),
            )
        )
        if over is not None:
            partitioned = "partitionClause" in over or "name" in over or "refname" in over
            level.windows.append((location, partitioned))
            self._window(over, scope, also)
        for key in ("args", "agg_order", "agg_filter"):
            if key in node:
                self.expression(node[key], scope, values, also)

    def _sublink(self, node: Node, scope: Scope, values: _Set, also: _Set) -> None:
        if "testexpr" in node:
            self.expression(node["testexpr"], scope, values, also)
        place = node["subLinkType"].removesuffix("_SUBLINK")
        below = len(self.reads.levels)
        result = self.select(node["subselect"]["SelectStmt"], scope, scope.ctes, place, scope.level)
        self.reads.levels[below].location = node.get("location", -1)
        for output in result.outputs:
            values |= output.columns
        also |= result.rows

    def _value_function(self, node: Node, scope: Scope, values: _Set, also: _Set) -> None:
        word = node["op"].removeprefix("SVFOP_").removesuffix("_N")
        if word.startswith(("CURRENT_DATE", "CURRENT_TIME", "LOCALTIME")):
            self.reads.time.append((word, node.get("location", -1)))
        else:
            self.reads.functions.append(
                Call("pg_catalog", word.lower(), 0, node.get("location", -1), scope.level)
            )

    def _parameter(self, node: Node, scope: Scope, values: _Set, also: _Set) -> None:
        self.reads.parameters.append(node.get("location", -1))

    def _type_cast(self, node: Node, scope: Scope, values: _Set, also: _Set) -> None:
        literal = node["arg"].get("A_Const", {}).get("sval")
        if literal is not None:
            kind = node["typeName"].get("names", [{}])[-1].get("String", {}).get("sval")
            word = literal.get("sval", "").strip().lower()
            if kind in _TIME_TYPES and word in _MOVING:
                self.reads.frozen.append((f"'{word}'::{kind}", node["arg"]["A_Const"]["location"]))
            return
        self.expression(node["arg"], scope, values, also)


# by name of the node; on the class, as bound methods would make each walk a ring of references
_HANDLERS = {
    "ColumnRef": Values._column_ref,
    "FuncCall": Values._func_call,
    "SubLink": Values._sublink,
    "SQLValueFunction": Values._value_function,
    "TypeCast": Values._type_cast,
    "ParamRef": Values._parameter,
}
