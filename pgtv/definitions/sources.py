"""FROM: what stands there, by which names, and which columns it has."""

from __future__ import annotations

from pgtv.definitions.parse import Node
from pgtv.definitions.reads import EXISTENCE, Column, Relation, Use
from pgtv.definitions.scope import Every, Open, Scope, Source
from pgtv.definitions.tree import function_name, strings
from pgtv.definitions.values import Values

_Set = set[Column]


class Sources(Values):
    """The part of the walk that reads FROM items and joins."""

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
