"""What is compared: a TVIEW's table against its backing view, and what stands in the way of it.

Read once for all TVIEWs, apart from the snapshot: the comparison needs types, collations and unique
keys of both relations as they are now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot, Tview
from pgtv.rows import queries
from pgtv.rows.recorded import may_differ

if TYPE_CHECKING:
    import psycopg

# Types for whose values `=` holds exactly when their images are equal: comparing them so is cheaper
# than building records. Not float (0 = -0), numeric (1.0 = 1.00), char(n), timetz, interval, jsonb.
_INTEGERS = {20: "int8", 21: "int2", 23: "int4"}
_PLAIN = _INTEGERS | {
    16: "bool", 17: "bytea", 18: "char", 19: "name", 26: "oid", 1082: "date",
    1114: "timestamp", 1184: "timestamptz", 2950: "uuid",
}  # fmt: skip
_RANGED = _INTEGERS | {1082: "date", 1114: "timestamp", 1184: "timestamptz", 2950: "uuid"}
_TEXT = {25: "text", 1043: "varchar"}
_JSON = {114: "json", 3802: "jsonb"}


@dataclass(frozen=True)
class Column:
    """A column of the definition, of the table's type: an INSERT turns values into that.

    plain: `=` is equality of images. json: worth a look inside. cast: the definition's type is
    another one (as `pk_x` may be integer there and always is bigint in the table).
    """

    name: str
    type: str  # as SQL writes it
    base: int  # OID of the type under all domains
    plain: bool
    json: bool
    cast: bool = False

    @property
    def sql(self) -> str:
        return ident(self.name)

    @property
    def integer(self) -> bool:
        return self.base in _INTEGERS

    @property
    def ranged(self) -> bool:
        """Whether ranges of it are the same rows on both sides, and an index finds them: a text is
        ordered by its column's collation, which may be another one in the definition."""
        return self.base in _RANGED


@dataclass(frozen=True)
class Subject:
    """One TVIEW ready to be compared, or the reason why it is not.

    keys: the identity. unique: an index of the table proves that the identity is one row.
    problem: why nothing can be said. faults: how the two relations differ in shape, so that their
    rows cannot be equal.
    """

    tview: Tview
    table: str = ""
    view: str = ""
    columns: tuple[Column, ...] = ()
    keys: tuple[Column, ...] = ()
    owner: str | None = None
    owner_superuser: bool = False
    unique: bool = False
    unlogged: bool = False
    estimate: float = -1.0
    problem: str | None = None
    faults: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()  # columns of the table that no definition fills, not compared

    @property
    def label(self) -> str:
        return self.tview.label

    @property
    def apart(self) -> str | None:
        """Why its contents may rightly differ, or None."""
        if self.tview.time_dependent:
            return "time-dependent"
        if may_differ(self.tview):
            return "reads tables that it does not follow (policy warn)"
        return None


def subjects(connection: psycopg.Connection[Any], snapshot: Snapshot) -> dict[int, Subject]:
    """Every TVIEW of the snapshot by its table's OID; one query. Raises psycopg.Error."""
    from psycopg.rows import dict_row

    oids = sorted({o for t in snapshot.tviews for o in (t.table_oid, t.view_oid)})
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(queries.SHAPES.encode(), {"oids": oids}).fetchall()
    shapes = {r["oid"]: r for r in rows}
    return {
        t.table_oid: subject(t, shapes.get(t.table_oid), shapes.get(t.view_oid))
        for t in snapshot.tviews
    }


def subject(tview: Tview, table: dict[str, Any] | None, view: dict[str, Any] | None) -> Subject:
    """Judge one pair of shapes as queries.SHAPES gives them; None for what does not exist."""
    if table is None:
        return Subject(tview, problem="its table does not exist")
    name = _qualified(table)
    facts: dict[str, Any] = {
        "tview": tview,
        "table": name,
        "owner": table["owner"],
        "owner_superuser": table["owner_superuser"],
        "unlogged": table["persistence"] == "u",
        "estimate": table["reltuples"],
    }
    if view is None:
        return Subject(**facts, problem="its backing view does not exist")
    facts["view"] = _qualified(view)
    if view["kind"] not in ("v", "m"):
        return Subject(**facts, problem=f"{facts['view']}, which it names as its view, is none")
    stored = {c["name"]: c for c in table["columns"] or ()}
    columns, faults = [], []
    for c in view["columns"] or ():
        mine = stored.get(c["name"])
        if mine is None:
            faults.append(f"{name} has no column {ident(c['name'])}")
        columns.append(_column(c, mine or c))
    by_name = {c.name: c for c in columns}
    lost = [k for k in tview.identity if k not in by_name]
    if lost:
        missing = ", ".join(ident(k) for k in lost)
        return Subject(**facts, problem=f"the definition has no column {missing}, its key")
    keys = tuple(by_name[k] for k in tview.identity)
    return Subject(
        **facts,
        columns=tuple(columns),
        keys=keys,
        unique=_proven_unique(stored, tview.identity, table["unique_keys"] or ()),
        faults=tuple(faults),
        hidden=tuple(n for n in stored if n not in by_name),
    )


def _qualified(shape: dict[str, Any]) -> str:
    return f"{ident(shape['schema'])}.{ident(shape['name'])}"


def _column(c: dict[str, Any], stored: dict[str, Any]) -> Column:
    base = stored["base"]
    deterministic = c["deterministic"] and stored["deterministic"]
    plain = base in _PLAIN or (base in _TEXT and deterministic)
    cast = c["type"] != stored["type"]
    return Column(c["name"], stored["type"], base, plain, base in _JSON, cast)


def _proven_unique(
    stored: dict[str, dict[str, Any]], keys: tuple[str, ...], indexes: Iterable[list[str]]
) -> bool:
    """Whether some unique index, on columns that are never null, lies within the identity."""
    return any(
        names and set(names) <= set(keys) and all(stored[n]["not_null"] for n in names)
        for names in indexes
    )
