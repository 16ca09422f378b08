"""What SQL files define: TVIEWs, tables, views, functions. Data only; pgtv.lint.files fills it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pgtv.definitions.parse import Node
from pgtv.definitions.reads import Reads, Relation
from pgtv.lint.source import Source

PREFIX = "tv_"


@dataclass
class Definition:
    """One statement that makes a TVIEW.

    form: `table` (CREATE TABLE tv_… AS) or `call`. at: file offset of the statement. where: turns a
    byte offset of the definition's tree into a file offset. options: None where they are no literal.
    """

    source: Source
    schema: str | None
    table: str
    at: int
    form: str
    replaces: bool
    node: Node | None
    where: Callable[[int], int]
    options: dict[str, Any] | None = field(default_factory=dict)
    error: str | None = None
    error_at: int | None = None
    into: Node | None = None
    statement: Node | None = None
    if_not_exists: bool = False
    typed_name: str = ""  # as written, before the server would cut it at 63 bytes
    parameters: bool = False
    reads: Reads | None = None
    cut: Callable[[], str | None] = lambda: None  # see query

    @cached_property
    def query(self) -> str | None:
        """Its text; None where it is no literal. Found when asked for: the rules do not need it."""
        return self.cut()

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass
class Table:
    """A table, view or materialized view that the files (or --schema) define."""

    schema: str | None
    name: str
    kind: str  # table, view, matview
    columns: dict[str, str] | None = None
    inherits: tuple[Relation, ...] = ()
    node: Node | None = None  # a view's SELECT
    source: Source | None = None
    at: int = 0
    where: Callable[[int], int] = lambda offset: offset


@dataclass
class Other:
    """Something worth a word that defines nothing: kind `retired`, `unparsed`, `plain`, `into`…"""

    kind: str
    source: Source
    at: int
    text: str = ""


@dataclass
class Facts:
    """Everything of all files, in their order."""

    definitions: list[Definition] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)  # ("define"|"drop", what), in order
    tables: dict[tuple[str, str], Table] = field(default_factory=dict)
    bare: dict[str, set[str]] = field(default_factory=dict)  # name to schemas
    functions: dict[str, str] = field(default_factory=dict)  # name to volatility, in lower case
    others: list[Other] = field(default_factory=list)

    def table(self, relation: Relation) -> Table | None:
        """By name; without a schema the one in public, else the only one of that name."""
        schema, name = relation
        if schema is not None:
            return self.tables.get((schema, name))
        found = self.tables.get(("public", name))
        if found is None:
            alike = self.bare.get(name, set())
            found = self.tables[next(iter(alike)), name] if len(alike) == 1 else None
        return found

    def add(self, table: Table) -> None:
        schema = table.schema or "public"
        self.tables[schema, table.name] = table
        self.bare.setdefault(table.name, set()).add(schema)

    def take(self, relation: Relation) -> Table | None:
        """Remove a table, because it goes by another name from here on."""
        schema, name = relation[0] or "public", relation[1]
        self.bare.get(name, set()).discard(schema)
        return self.tables.pop((schema, name), None)
