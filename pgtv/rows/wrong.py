"""Which rows of a TVIEW differ, by key, for whoever is going to write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.rows import statements
from pgtv.rows.batches import ALL_KINDS, Wrong
from pgtv.rows.merge_sql import Key, part_of
from pgtv.rows.statements import Part
from pgtv.rows.subject import Subject

if TYPE_CHECKING:
    import psycopg

MOST = 100_000  # more differing rows are not listed where ranges of the key can stand for them

AT_ONCE = 10_000  # listed keys that one statement looks at

Run = Callable[[str], list[str]]


@dataclass(frozen=True)
class Listed:
    """Rows that differ. bounds: of the key, when there are too many to list and `rows` is a sample."""

    rows: tuple[Wrong, ...] = ()
    bounds: tuple[int, int] | None = None
    kinds: frozenset[int] = ALL_KINDS

    @property
    def any(self) -> bool:
        return bool(self.rows)


def look(connection: psycopg.Connection[Any], run: Run, subject: Subject) -> Listed:
    """Every differing row of the TVIEW, or so many that ranges serve better. Raises psycopg.Error."""
    ranged = len(subject.keys) == 1 and subject.keys[0].integer
    limit = MOST + 1 if ranged else None
    rows = tuple(wrong_rows(connection, run, subject, Part(), limit))
    if limit is None or len(rows) < limit:
        return Listed(rows)
    with connection.transaction():
        low, high = json.loads(run(statements.bounds(subject))[0])
        if low is None:  # the table is empty: what is missing tells the range
            low, high = json.loads(run(statements.bounds(subject, "v"))[0])
    if low is None:  # nothing but null keys
        return Listed(rows)
    return Listed(rows, (low, high), frozenset(kind for kind, _ in rows))


def still_wrong(
    connection: psycopg.Connection[Any], run: Run, subject: Subject, keys: Sequence[Key]
) -> list[Wrong]:
    """Those of `keys` whose rows differ now. Raises psycopg.Error."""
    found = []
    for i in range(0, len(keys), AT_ONCE):
        part = part_of(subject, keys[i : i + AT_ONCE])
        found += wrong_rows(connection, run, subject, part)
    return found


def wrong_rows(
    connection: psycopg.Connection[Any],
    run: Run,
    subject: Subject,
    part: Part,
    limit: int | None = None,
) -> list[Wrong]:
    """(kind, key) of every differing row of `part`, in a snapshot of its own; at most `limit`."""
    by_image = not statements.by_equality(subject)
    query = statements.differing_keys(subject, part, exact_keys=by_image, limit=limit)
    with connection.transaction():
        rows = run(query)
    found = []
    for row in rows:
        kind, key = json.loads(row)
        found.append((kind, tuple(key)))
    return found
