"""FROM items and scopes, as the walk of a definition keeps them."""

from __future__ import annotations

from typing import Any

from pgtv.definitions.reads import WHOLE, Column, Output, Relation

SYSTEM = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


class Source:
    """One FROM item: a base relation, or columns made of others. None: columns not known."""

    __slots__ = ("columns", "name", "relation", "rows")

    def __init__(
        self,
        name: str,
        relation: Relation | None = None,
        columns: dict[str, frozenset[Column]] | None = None,
        rows: frozenset[Column] = frozenset(),
    ) -> None:
        self.name, self.relation, self.columns, self.rows = name, relation, columns, rows

    def column(self, name: str) -> frozenset[Column]:
        if self.columns is not None:
            if name in SYSTEM and self.relation is not None:
                return frozenset({(self.relation, name)})
            return self.columns.get(name, frozenset())
        return frozenset({(self.relation, name)}) if self.relation else frozenset()

    def whole(self) -> frozenset[Column]:
        if self.relation is not None:
            return frozenset({(self.relation, WHOLE)})
        return frozenset().union(*self.columns.values()) if self.columns else frozenset()


class Scope:
    __slots__ = ("ctes", "level", "outer", "sources")

    def __init__(self, outer: Scope | None, ctes: dict[str, Source], level: int) -> None:
        self.outer, self.ctes, self.level = outer, ctes, level
        self.sources: list[Source] = []


class Result:
    """What a SELECT gives to the level above it."""

    __slots__ = ("outputs", "rows")

    def __init__(self, outputs: list[Output], rows: set[Column]) -> None:
        self.outputs, self.rows = outputs, rows

    def source(self, name: str, aliases: list[str] | None = None) -> Source:
        columns: dict[str, frozenset[Column]] = {}
        for i, output in enumerate(self.outputs):
            label = aliases[i] if aliases and i < len(aliases) else output.name
            if label is not None:
                columns[label] = columns.get(label, frozenset()) | output.columns
        unknown = columns.pop(WHOLE, None)
        source = Source(name, None, columns, frozenset(self.rows))
        if unknown:  # SELECT * of a relation whose columns are not known
            relations = {r for r, c in unknown if c == WHOLE}
            if len(relations) == 1 and not columns and not aliases:
                source.relation, source.columns = next(iter(relations)), None
            else:
                source.columns = Open(columns, unknown)
        return source


class Open(dict[str, frozenset[Column]]):
    """Columns of which only some are known by name: any other may be of the unknown relations."""

    def __init__(self, known: dict[str, frozenset[Column]], unknown: frozenset[Column]) -> None:
        super().__init__(known)
        self.unknown = unknown

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key) or frozenset((r, key) for r, _ in self.unknown)


class Every(dict[str, frozenset[Column]]):
    """Columns of a function: whatever they are called, they are made of its arguments."""

    def __init__(self, known: dict[str, frozenset[Column]], made_of: frozenset[Column]) -> None:
        super().__init__(known)
        self.made_of = made_of

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, self.made_of)
