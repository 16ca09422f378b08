"""The statements of a merge: lock, delete, update and insert what differs among the rows of one part.

Each runs as the TVIEW's owner and gives its number of rows as one text column. Rows of a table that
inherits from the TVIEW's are seen by comparisons, as by every reader, and never written: ONLY.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgtv.catalog.dialects.base import literal
from pgtv.rows import statements
from pgtv.rows.statements import Part
from pgtv.rows.subject import Subject

Key = tuple[str | None, ...]


def part_of(subject: Subject, keys: Sequence[Key]) -> Part:
    """The rows with these keys, as one predicate that an index can serve."""
    if len(subject.keys) == 1 and all(k[0] is not None for k in keys):
        column = subject.keys[0]
        # one literal: a constructor of thousands of elements takes long to parse and plan
        values = literal(array_of([str(k[0]) for k in keys]))
        return Part(where=f"x.{column.sql} = ANY (CAST({values} AS {column.type}[]))")
    return statements.keys_in(subject, keys)


def array_of(values: Sequence[str]) -> str:
    """An array's text."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def lock_rows(subject: Subject, part: Part) -> str:
    """Locks the table's rows of the part in key order: two mergers or writers never deadlock."""
    order = ", ".join(f"x.{k.sql}" for k in subject.keys)
    return (
        f"SELECT pg_catalog.count(*)::text FROM (SELECT 1 FROM ONLY {subject.table} x"
        f"{statements.condition(subject, part)} ORDER BY {order} FOR UPDATE) locked"
    )


def delete_extra(subject: Subject, part: Part) -> str:
    """Rows whose identity the definition does not give."""
    return (
        f"WITH gone AS (DELETE FROM ONLY {subject.table} x"
        f"{statements.condition(subject, part, 'AND')} NOT EXISTS"
        f" (SELECT 1 FROM ({_given(subject, part)}) v WHERE {_same(subject, 'v', 'x')})"
        " RETURNING 1) SELECT pg_catalog.count(*)::text FROM gone"
    )


def update_changed(subject: Subject, part: Part) -> str:
    """Rows whose image is not the definition's."""
    others = [c for c in subject.columns if c not in subject.keys]
    if not others:
        return "SELECT '0'"
    names = ", ".join(c.sql for c in others)
    left = ", ".join(f"x.{c.sql}" for c in others)
    right = ", ".join(f"v.{c.sql}" for c in others)
    return (
        f"WITH changed AS (UPDATE ONLY {subject.table} x SET ({names}) = ROW({right})"
        f" FROM ({_given(subject, part)}) v{statements.condition(subject, part, 'AND')}"
        f" {_same(subject, 'v', 'x')}"
        f" AND ROW({left})::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW({right})::pg_catalog.record"
        " RETURNING 1) SELECT pg_catalog.count(*)::text FROM changed"
    )


def insert_missing(subject: Subject, part: Part) -> str:
    """Rows that the definition gives and the table lacks; a writer may have been faster."""
    names = ", ".join(c.sql for c in subject.columns)
    values = ", ".join(f"v.{c.sql}" for c in subject.columns)
    order = ", ".join(f"v.{k.sql}" for k in subject.keys)
    return (
        f"WITH new AS (INSERT INTO {subject.table} ({names}) SELECT {values}"
        f" FROM ({_given(subject, part)}) v"
        f" WHERE NOT EXISTS (SELECT 1 FROM ONLY {subject.table} x WHERE {_same(subject, 'v', 'x')})"
        f" ORDER BY {order} ON CONFLICT DO NOTHING RETURNING 1)"
        " SELECT pg_catalog.count(*)::text FROM new"
    )


def _given(subject: Subject, part: Part) -> str:
    """The definition's rows of a part, as the table stores them: images of other types are not
    compared. Keys are as they are, for the sake of indexes."""
    columns = ", ".join(
        f"CAST(x.{c.sql} AS {c.type}) AS {c.sql}"
        if c.cast and c not in subject.keys
        else f"x.{c.sql}"
        for c in subject.columns
    )
    return f"SELECT {columns} FROM {subject.view} x{statements.condition(subject, part)}"


def _same(subject: Subject, one: str, other: str) -> str:
    return " AND ".join(f"{one}.{k.sql} = {other}.{k.sql}" for k in subject.keys)
