"""Which rows a row of a TVIEW comes from, by the extension's plan; and whether those are right.

The plan tells for each relation how its rows reach the TVIEW: the identity itself (`local`), columns
of the TVIEW that look a document up (`propagated`), or a query from changed rows to identities
(`mapped`), which is read backwards here. What the plan does not tell is said to be unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import ident, literal
from pgtv.catalog.model import Relation, Snapshot
from pgtv.rows import compare, statements
from pgtv.rows.evaluate import Evaluation
from pgtv.rows.plan_sql import relation_name, rendered
from pgtv.rows.result import Difference, Fault
from pgtv.rows.subject import Subject

MOST_ROWS = 100  # rows of one relation that are followed
MOST_NODES = 200  # rows of TVIEWs that are looked at below one row


@dataclass(frozen=True)
class Source:
    """A relation that a row reads, and which of its rows; `query` gives them as `[key…]`.

    how: in words. query None: not known which rows, and why is in `how`.
    """

    relation: Relation
    how: str
    query: str | None
    keys: tuple[str, ...] = ()  # the columns that the query gives


Key = tuple[str | None, ...]
BaseRows = tuple[Source, tuple[Key, ...]]


@dataclass(frozen=True)
class Node:
    """A row of a TVIEW and everything below it."""

    subject: Subject
    key: tuple[str | None, ...]
    difference: Difference | None  # None: equal to its definition
    exists: bool = True
    problem: str | None = None
    base: tuple[BaseRows, ...] = ()
    upstream: tuple[Node, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def wrong_below(self) -> tuple[str, ...]:
        """Rows of other TVIEWs, below this one, that differ from their definitions."""
        found: dict[str, None] = {}
        for node in self.upstream:
            if node.difference is not None:
                found[row_name(node.subject, node.key)] = None
            found |= dict.fromkeys(node.wrong_below)
        return tuple(found)

    @property
    def known_below(self) -> bool:
        """Whether everything below could be looked at."""
        return not self.unknown and all(n.known_below and not n.problem for n in self.upstream)

    @property
    def fault(self) -> Fault:
        """Whose fault it is that this row differs."""
        if self.wrong_below:
            return Fault.INHERITED
        if not self.known_below:
            return Fault.UNKNOWN
        return Fault.OWN if self.upstream else Fault.NONE_READ


def row_name(subject: Subject, key: Sequence[str | None]) -> str:
    """`tv_x:KEY`, as `pgtv explain` takes it."""
    return f"{subject.label}:{key_text(key)}"


def key_text(key: Sequence[str | None]) -> str:
    import json

    if len(key) == 1 and key[0] is not None:
        return key[0]
    return json.dumps(list(key), ensure_ascii=False)


def sources(
    snapshot: Snapshot, subject: Subject, key: Sequence[str | None], row: dict[str, str | None]
) -> list[Source]:
    """The relations that one row reads; `row` has its columns' values as text."""
    plan = subject.tview.plan
    tables = plan.get("tables") if isinstance(plan, dict) else None
    found = []
    for entry in tables if isinstance(tables, list) else ():
        relation = snapshot.by_oid.get(entry.get("relid", 0)) if isinstance(entry, dict) else None
        if relation is not None:
            found.append(_source(snapshot, subject, plan, entry, relation, key, row))
    return found


def _source(
    snapshot: Snapshot,
    subject: Subject,
    plan: dict[str, Any],
    entry: dict[str, Any],
    relation: Relation,
    key: Sequence[str | None],
    row: dict[str, str | None],
) -> Source:
    names = _row_key(snapshot, relation)
    kind = entry.get("kind")
    condition, how = None, f"the plan does not tell which rows ({kind})"
    if kind == "local" and isinstance(entry.get("column"), str) and len(key) == 1:
        condition = _equals(relation, entry["column"], key[0])
        how = f"{entry['column']} is the key"
    elif kind == "propagated":
        lookup = _lookup(plan, entry)
        own = snapshot.tview_by_table.get(relation.oid)
        if lookup and own and len(own.identity) == 1 and lookup in row:
            condition = _equals(relation, own.identity[0], row[lookup])
            how = f"looked up by {lookup}"
    elif kind == "mapped" and len(key) == 1:
        source = _mapped(snapshot, subject, entry, relation, key[0])
        if source:
            shown = ", ".join(f"d.{ident(n)}::text" for n in names)
            query = (
                f"SELECT DISTINCT pg_catalog.json_build_array({shown})::text"
                f" {source} LIMIT {MOST_ROWS + 1}"
            )
            return Source(relation, "rows that map to the key", query, names)
    elif kind == "all_keys":
        how = "every row of it can change every row of the TVIEW"
    if condition is None or not names:
        return Source(relation, how, None, names)
    shown = ", ".join(f"d.{ident(n)}::text" for n in names)
    query = (
        f"SELECT pg_catalog.json_build_array({shown})::text"
        f" FROM {relation_name(relation)} d WHERE {condition} LIMIT {MOST_ROWS + 1}"
    )
    return Source(relation, how, query, names)


def _row_key(snapshot: Snapshot, relation: Relation) -> tuple[str, ...]:
    """The columns that name a row of a relation: identity, primary key, any unique key, or ctid."""
    own = snapshot.tview_by_table.get(relation.oid)
    if own:
        return own.identity
    indexes = [
        i for i in snapshot.indexes_on.get(relation.oid, ())
        if i.unique and i.valid and not i.partial and all(i.columns)
    ]  # fmt: skip
    best = min(indexes, key=lambda i: (not i.primary, len(i.columns), i.name), default=None)
    return best.columns if best else ("ctid",) if relation.kind in "rpm" else ()


def _equals(relation: Relation, column: str, value: str | None) -> str | None:
    kind = next((c.type for c in relation.columns if c.name == column), None)
    if kind is None:
        return None
    if value is None:
        return "false"  # SQL's = never matches null
    return f"d.{ident(column)} = CAST({literal(value)} AS {kind})"


def _lookup(plan: dict[str, Any], entry: dict[str, Any]) -> str | None:
    """The TVIEW's column by which an embedded document is looked up, when it is one column."""
    embeds = plan.get("embeds")
    for embed in embeds if isinstance(embeds, list) else ():
        if isinstance(embed, dict) and embed.get("entity") == entry.get("entity"):
            lookups = embed.get("lookups")
            if isinstance(lookups, list) and len(lookups) == 1 and isinstance(lookups[0], str):
                return lookups[0]
    return None


def _mapped(
    snapshot: Snapshot, subject: Subject, entry: dict[str, Any], relation: Relation,
    value: str | None,
) -> str | None:  # fmt: skip
    """The mapping query read backwards: FROM and WHERE that find the rows of one identity."""
    delta = dialects.named(snapshot.extension.generation).delta_relation
    text = entry.get("sql")
    if not isinstance(text, str) or value is None:
        return None
    names = rendered(snapshot, text)
    found = re.fullmatch(
        rf"SELECT DISTINCT (?P<key>.+?) FROM {re.escape(delta)} d(?P<rest>(?:,| |$).*)",
        names or "", re.DOTALL,
    )  # fmt: skip
    if not found or " UNION " in found["rest"] or "$1" in found["rest"]:
        return None
    rest, key = found["rest"], found["key"]
    tables, where, condition = rest.partition(" WHERE ")
    wanted = f"{key} = CAST({literal(value)} AS {subject.keys[0].type})"
    both = f"({condition}) AND {wanted}" if where else wanted
    return f"FROM {relation_name(relation)} d{tables} WHERE {both}"


@dataclass
class Walk:
    """One walk upstream: what it may use, and what it has seen."""

    evaluation: Evaluation
    snapshot: Snapshot
    subjects: dict[int, Subject]
    base_rows: bool = False
    seen: dict[tuple[int, Key, int], Node] = field(default_factory=dict)
    left: int = MOST_NODES

    def begin(self, subject: Subject, part: statements.Part) -> list[Node]:
        """As `node`, for the row that is asked about: the bound counts from here."""
        self.left = MOST_NODES
        return self.node(subject, part)

    def node(self, subject: Subject, part: statements.Part) -> list[Node]:
        """The rows of `part` of a TVIEW, each with what is below it."""
        import json

        import psycopg

        try:
            with self.evaluation.savepoint():
                if refusal := compare.refused(self.evaluation, subject):
                    return [Node(subject, (), None, False, refusal["reason"])]
                if subject.faults:
                    return [Node(subject, (), None, False, "; ".join(subject.faults))]
                query = statements.rows(subject, part, MOST_ROWS + 1)
                rows = self.evaluation.ask(subject, query)
        except psycopg.Error as e:
            if e.sqlstate is None:
                raise
            return [Node(subject, (), None, False, compare.refusal(e)[0])]
        return [self._row(subject, r, json.loads(r)) for r in rows]

    def _row(self, subject: Subject, text: str, row: list[Any]) -> Node:
        kind, key, expected, found = row
        key = tuple(key)
        place = (subject.tview.table_oid, key, kind)
        if place in self.seen:
            return self.seen[place]
        node = Node(
            subject, key, None if kind == statements.MATCH else compare.difference(subject, text)
        )
        self.seen[place] = node
        self.left -= 1
        if self.left < 0:
            return replace(node, unknown=(f"more than {MOST_NODES} rows are below",))
        values = expected if kind == statements.MISSING else found
        names = [c.name for c in subject.columns]
        below = self._below(subject, key, dict(zip(names, values, strict=True)))
        node = replace(node, base=tuple(below[0]), upstream=tuple(below[1]), unknown=below[2])
        if node.difference is not None:
            node = replace(
                node,
                difference=replace(
                    node.difference, fault=node.fault, inherited_from=node.wrong_below
                ),
            )
        self.seen[place] = node
        return node

    def _below(
        self, subject: Subject, key: tuple[str | None, ...], row: dict[str, str | None]
    ) -> tuple[list[BaseRows], list[Node], tuple[str, ...]]:
        import json

        import psycopg

        base: list[BaseRows] = []
        nodes, unknown = list[Node](), list[str]()
        planned = sources(self.snapshot, subject, key, row)
        if not planned:
            unknown.append(
                "this release of the extension keeps no plan that tells what the row is made of"
                if subject.tview.plan is None and subject.tview.plan_error is None
                else f"the plan of {subject.label} names no relation"
            )
        for source in planned:
            reads = self.subjects.get(source.relation.oid)
            if reads is None and not self.base_rows:
                continue
            if source.query is None:
                if reads is not None:
                    unknown.append(f"{source.relation.qualified}: {source.how}")
                else:
                    base.append((source, ()))
                continue
            try:
                with self.evaluation.savepoint():
                    rows = self.evaluation.ask(subject, source.query)
            except psycopg.Error as e:
                if e.sqlstate is None:
                    raise
                unknown.append(f"{source.relation.qualified}: {compare.refusal(e)[0]}")
                continue
            keys = tuple(tuple(json.loads(r)) for r in rows)
            if reads is None:
                base.append((source, keys))
                continue
            if len(keys) > MOST_ROWS:
                unknown.append(f"it reads more than {MOST_ROWS} rows of {reads.label}")
                continue
            if keys:
                nodes += self.node(reads, statements.keys_in(reads, keys))
        return base, nodes, tuple(unknown)
