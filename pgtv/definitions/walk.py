"""The walk behind `read`: one pass over a SelectStmt, scopes as small dictionaries."""

from __future__ import annotations

from typing import Any

from pgtv.definitions.parse import Node, select
from pgtv.definitions.reads import (
    EXISTENCE,
    WHOLE,
    Call,
    Column,
    Columns,
    Level,
    Output,
    Reads,
    Relation,
    Use,
)
from pgtv.definitions.scope import Every, Open, Result, Scope, Source
from pgtv.definitions.tree import first_location, function_name, mentions, name_of, strings

_Set = set[Column]
_TIME_TYPES = frozenset({"date", "time", "timetz", "timestamp", "timestamptz"})
_MOVING = frozenset({"now", "today", "tomorrow", "yesterday"})


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


class _Walk:
    def __init__(self, columns: Columns | None) -> None:
        self.reads = Reads()
        self.known = columns
        self.made: dict[Relation, dict[str, frozenset[Column]]] = {}
        self.handlers = {
            "ColumnRef": self._column_ref,
            "FuncCall": self._func_call,
            "SubLink": self._sublink,
            "SQLValueFunction": self._value_function,
            "TypeCast": self._type_cast,
            "ParamRef": self._parameter,
        }

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

    # SELECT, set operations, WITH

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

    def _window(self, window: Node, scope: Scope, also: _Set) -> None:
        for clause, use in (("partitionClause", Use.GROUP), ("orderClause", Use.ORDER)):
            values: _Set = set()
            self.expression(window.get(clause, []), scope, values, also)
            self.use(values, use)
            also |= values

    # FROM

    def from_item(self, item: Node, scope: Scope, rows: _Set) -> list[Source]:
        kind, node = next(iter(item.items()))
        alias = node.get("alias", {})
        name, aliases = alias.get("aliasname"), strings(alias.get("colnames"))
        if kind == "RangeVar":
            source = self._relation(node, scope, name or node["relname"])
            if aliases and source.columns is None:
                known = list(self._columns(source.relation) or ()) if source.relation else []
                columns = {
                    a: source.column(known[i]) if i < len(known) else source.whole()
                    for i, a in enumerate(aliases)
                }
                columns |= {c: source.column(c) for c in known[len(aliases) :]}
                source.columns = columns if known else Open(columns, source.whole())
            elif aliases and source.columns:
                given = list(source.columns.items())
                source.columns = {
                    (aliases[i] if i < len(aliases) else c): made_of
                    for i, (c, made_of) in enumerate(given)
                }
            rows |= source.rows
            if source.relation is not None:
                rows.add((source.relation, EXISTENCE))
            return [source]
        if kind == "JoinExpr":
            return self._join(node, scope, rows, name, aliases)
        if kind == "RangeSubselect":
            # LATERAL sees what stands to the left; without it only outer levels are visible
            outer = scope if node.get("lateral") else scope.outer
            level = self.reads.levels[scope.level]
            place = "lateral" if node.get("lateral") else "from"
            below = len(self.reads.levels)
            result = self.select(
                node["subquery"]["SelectStmt"], outer, scope.ctes, place, scope.level
            )
            level.relations |= self.reads.levels[below].relations
            level.from_ordered |= self.reads.levels[below].ordered
            rows |= result.rows
            return [result.source(name or "", aliases)]
        if kind == "RangeTableSample":
            self.reads.levels[scope.level].samples.append(node.get("location", -1))
            self.expression(node.get("args", []), scope, rows, rows)
            return self.from_item(node["relation"], scope, rows)
        # functions, XMLTABLE, JSON_TABLE: their arguments may refer to what stands to the left
        values: _Set = set()
        self.expression(node, scope, values, values)
        rows |= values
        made_of = frozenset(values)
        columns = dict.fromkeys(aliases or (), made_of)
        if name and kind == "RangeFunction":
            columns.setdefault(name, made_of)
        return [Source(name or function_name(node), None, Every(columns, made_of))]

    def _relation(self, node: Node, scope: Scope, name: str) -> Source:
        schema, relname = node.get("schemaname"), node["relname"]
        if schema is None and relname in scope.ctes:
            cte = scope.ctes[relname]
            return Source(name, cte.relation, cte.columns, cte.rows)
        relation = (schema, relname)
        location = node.get("location", -1)
        self.reads.relations.setdefault(relation, location)
        if node.get("inh"):
            self.reads.inherited.setdefault(relation, location)
        index: int | None = scope.level
        while index is not None and not self.reads.levels[index].relations:
            self.reads.levels[index].relations = True
            index = self.reads.levels[index].parent
        known = self._columns(relation)
        if known is None:
            return Source(name, relation)
        columns = self.made.get(relation)
        if columns is None:
            columns = self.made[relation] = {c: frozenset({(relation, c)}) for c in known}
        return Source(name, relation, columns)

    def _columns(self, relation: Relation | None) -> list[str] | None:
        if self.known is None or relation is None:
            return None
        found = self.known(relation)
        return None if found is None else list(found)

    def _join(
        self, node: Node, scope: Scope, rows: _Set, name: str | None, aliases: list[str] | None
    ) -> list[Source]:
        before = scope.sources
        left = self.from_item(node["larg"], scope, rows)
        scope.sources = before + left  # for LATERAL on the right
        right = self.from_item(node["rarg"], scope, rows)
        both = left + right
        scope.sources = before + both
        if "quals" in node:
            self.condition(node["quals"], scope, Use.JOIN, rows)
        shared = strings(node.get("usingClause"))
        if node.get("isNatural"):
            shared = [
                c
                for a in left
                for c in a.columns or ()
                if any(c in (b.columns or ()) for b in right)
            ]
        for column in shared or ():
            made_of = frozenset().union(
                *(s.column(column) for s in both if s.columns is None or column in s.columns)
            )
            self.use(made_of, Use.JOIN)
            rows |= made_of
        scope.sources = before
        if name is None:
            return both
        # an alias on the whole join hides what is inside
        columns: dict[str, frozenset[Column]] = {}
        unknown: frozenset[Column] = frozenset()
        for source in both:
            if source.columns is None:
                unknown |= source.whole()
            columns |= source.columns or {}
        for column, alias in zip(list(columns), aliases or (), strict=False):
            columns[alias] = columns.pop(column)
        return [Source(name, None, Open(columns, unknown) if unknown else columns)]

    # Expressions: values are the columns that make the value, also those that decide it otherwise

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
                handler = self.handlers.get(key)
                if handler is not None:
                    handler(value, scope, values, also)
                elif key != "A_Const":
                    self.expression(value, scope, values, also)
            elif kind is list:
                for item in value:
                    self.expression(item, scope, values, also)

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
