"""The problems found so far, what is silenced, and what the files' relations put out."""

from __future__ import annotations

from collections.abc import Callable

from pgtv.definitions.parse import Node
from pgtv.definitions.reads import WHOLE, Reads, Relation
from pgtv.definitions.walk import read
from pgtv.errors import DefinitionError
from pgtv.lint import rules
from pgtv.lint.facts import Definition, Facts
from pgtv.lint.rules import Problem
from pgtv.lint.source import Source

# (rule id, message, offset in the definition or None for its beginning, hint)
Add = Callable[..., None]


class Found:
    """Collects problems; knows what is silenced and the columns of relations."""

    def __init__(self, facts: Facts, ignore: frozenset[str]) -> None:
        self.facts = facts
        self.ignore = ignore
        self.problems: list[Problem] = []
        self.latest: dict[str, Definition] = {}
        for kind, what in facts.events:
            if kind == "define":
                self.latest[what.table] = what
            else:
                self.latest.pop(what[1], None)
        self.named = {d.table for d in facts.definitions}
        self.children = {
            (schema or "public", name): table.name
            for table in facts.tables.values()
            for schema, name in table.inherits
        }
        self.outputs: dict[str, list[str] | None] = {}
        self.busy: set[str] = set()
        self.walked: dict[int, Reads] = {}  # by the identity of trees, which live as long as facts

    def add(
        self, source: Source, at: int, rule: str, message: str, hint: str = "",
        begins: int | None = None,
    ) -> None:  # fmt: skip
        if rule in self.ignore:
            return
        line, column = source.position(at)
        for silent in {line, source.position(begins)[0] if begins is not None else line}:
            names = source.ignored.get(silent, frozenset())
            if names is None or rule in names:
                return
        self.problems.append(Problem(source.name, line, column, rules.ALL[rule], message, hint))

    def columns(self, relation: Relation) -> list[str] | None:
        """Output columns of a table, view or TVIEW of the files; None for unknown."""
        schema, name = relation
        definition = self.latest.get(name) if schema in (None, "public") or name else None
        if definition is not None and (schema is None or schema == (definition.schema or "public")):
            return self._outputs(f"tview {name}", definition.node)
        table = self.facts.table(relation)
        if table is None:
            return None
        if table.node is not None:
            return self._outputs(f"view {table.schema}.{name}", table.node)
        return list(table.columns) if table.columns is not None else None

    def reads(self, node: Node) -> Reads:
        """What a SELECT of the files reads, walked once. Raises DefinitionError."""
        known = self.walked.get(id(node))
        if known is None:
            known = self.walked[id(node)] = read(node, self.columns)
        return known

    def _outputs(self, key: str, node: object) -> list[str] | None:
        if key in self.outputs:
            return self.outputs[key]
        if key in self.busy or not isinstance(node, dict):
            return None  # reads itself
        self.busy.add(key)
        names: list[str] | None
        try:
            given = [o.name for o in self.reads(node).outputs]
            names = None if WHOLE in given or None in given else [n for n in given if n]
        except DefinitionError:
            names = None
        self.busy.discard(key)
        self.outputs[key] = names
        return names
