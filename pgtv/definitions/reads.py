"""What one SELECT reads: relations, columns and how each is used, functions, and its query levels.

`read` walks a parse tree once. Names are resolved as PostgreSQL does as far as text allows: aliases
and their hiding, CTEs (recursive ones too) before relations, LATERAL and correlated references
outward. Columns of a relation are known only where a catalog tells them; without one an unqualified
name in a join is attributed to every relation that might have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

Relation = tuple[str | None, str]  # schema (None: found by search_path) and name
Column = tuple[Relation, str]  # "*" is the whole row, "" that there is a row at all
Columns = Callable[[Relation], Iterable[str] | None]

WHOLE = "*"
EXISTENCE = ""


class Use(StrEnum):
    """How a column's value takes part in the result."""

    OUTPUT = "output"
    JOIN = "join"
    FILTER = "filter"
    GROUP = "group"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Call:
    """A function call. `level` indexes Reads.levels; location is a byte offset."""

    schema: str | None
    name: str
    args: int
    location: int
    level: int
    window: bool = False
    ordered: bool = False  # has an ORDER BY of its own: agg(x ORDER BY y)
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """An output column; columns are the base columns that its value is made of."""

    name: str | None
    columns: frozenset[Column]
    location: int = -1


@dataclass(slots=True)
class Level:
    """One SELECT of the definition: its top, or a branch, CTE, sub-select or expression below it.

    place: top, union, cte, recursive, from, lateral, or the kind of the expression (`EXISTS`, `ANY`,
    `EXPR`, `ARRAY`…). Locations are byte offsets, None where the clause is absent.
    """

    place: str
    parent: int | None
    limit: int | None = None
    offset: int | None = None
    ordered: bool = False
    distinct: bool = False
    # columns of each key, location, whether the key is a plain column
    distinct_on: list[tuple[frozenset[Column], int, bool]] = field(default_factory=list)
    distinct_sorted: bool = True
    windows: list[tuple[int, bool]] = field(default_factory=list)  # location, partitioned
    stars: list[int] = field(default_factory=list)
    locking: bool = False
    samples: list[int] = field(default_factory=list)
    correlated: bool = False  # refers outward, or may: an unqualified name not known to be its own
    relations: bool = False  # reads a relation, here or below
    grouped: bool = False
    where: bool = False  # an expression sub-select of WHERE, HAVING or ON
    location: int = -1
    from_ordered: bool = False  # reads a sub-select that has an ORDER BY


@dataclass(slots=True)
class Reads:
    """All that one SELECT reads. Locations are byte offsets into its text."""

    relations: dict[Relation, int] = field(default_factory=dict)
    inherited: dict[Relation, int] = field(default_factory=dict)  # those read without ONLY
    columns: dict[Column, set[Use]] = field(default_factory=dict)
    functions: list[Call] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    rows: frozenset[Column] = frozenset()  # columns that decide which rows there are
    levels: list[Level] = field(default_factory=list)
    time: list[tuple[str, int]] = field(default_factory=list)  # CURRENT_DATE and its like
    frozen: list[tuple[str, int]] = field(default_factory=list)  # 'now'::timestamptz and its like
    unknown: dict[Column, int] = field(default_factory=dict)  # columns that a catalog denies
    parameters: list[int] = field(default_factory=list)  # $1 and the like
    set_operation: bool = False

    def uses(self, relation: Relation) -> dict[str, set[Use]]:
        """Columns of one relation and how each is used."""
        return {c: uses for (r, c), uses in self.columns.items() if r == relation}
