"""Which rows of a TVIEW differ, by key, for whoever is going to write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgtv.rows import statements
from pgtv.rows.batches import LEAST, Mark, Wrong
from pgtv.rows.merge_sql import Key, part_of
from pgtv.rows.statements import Part
from pgtv.rows.subject import Subject

MOST = 100_000  # more differing rows are not listed at once
MARKS = 100_000  # of each side, that cut a table into ranges
AT_ONCE = 10_000  # listed keys that one statement looks at

Run = Callable[[str], list[str]]


@dataclass(frozen=True)
class Listed:
    """Rows that differ. more: `rows` are the first of them by key."""

    rows: tuple[Wrong, ...] = ()
    more: bool = False

    @property
    def kinds(self) -> frozenset[int]:
        """Of those that are listed."""
        return frozenset(kind for kind, _ in self.rows)

    @property
    def any(self) -> bool:
        return bool(self.rows)


def look(run: Run, subject: Subject) -> Listed:
    """The differing rows of the TVIEW, or the first of them. Raises psycopg.Error."""
    return page(run, subject, None)


def page(run: Run, subject: Subject, after: Key | None) -> Listed:
    """The first rows that differ of those that follow a key, in the order of keys."""
    rows = _differing(run, subject, Part(), MOST + 1, after)
    return Listed(tuple(rows), len(rows) > MOST)


def by_ranges(subject: Subject) -> bool:
    """Whether more rows than are listed are gone through by ranges of the key."""
    return len(subject.keys) == 1 and subject.keys[0].ranged


def marks(run: Run, subject: Subject) -> list[Mark]:
    """Where to cut both sides into ranges. Raises psycopg.Error."""
    rows = run(statements.marks(subject, LEAST, MARKS))
    return [Mark(*json.loads(row)) for row in rows]


def still_wrong(run: Run, subject: Subject, keys: Sequence[Key]) -> list[Wrong]:
    """Those of `keys` whose rows differ now. Raises psycopg.Error."""
    found = []
    for i in range(0, len(keys), AT_ONCE):
        part = part_of(subject, keys[i : i + AT_ONCE])
        found += wrong_rows(run, subject, part)
    return found


def wrong_rows(run: Run, subject: Subject, part: Part) -> list[Wrong]:
    """(kind, key) of every differing row of `part`, in a snapshot of its own."""
    return _differing(run, subject, part)


def _differing(
    run: Run,
    subject: Subject,
    part: Part,
    limit: int | None = None,
    after: Key | None = None,
) -> list[Wrong]:
    """At most `limit` rows of those that follow `after`."""
    by_image = not statements.by_equality(subject)
    query = statements.differing_keys(subject, part, exact_keys=by_image, limit=limit, after=after)
    found = (json.loads(row) for row in run(query))
    return [(kind, tuple(key)) for kind, key in found]
