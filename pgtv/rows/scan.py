"""A look at all rows of a relation: how many, what they lead to, and which are young.

A row version is young where its transaction's number is not below a horizon. Numbers are compared
by age(xmin), which counts back from this transaction: right for the last two billion transactions,
and an older version (its number stays in it when it is frozen) can only be taken for a young one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pgtv.catalog.dialects.base import literal
from pgtv.rows.evaluate import Evaluation
from pgtv.rows.readings import MAPPED, Reading, Term
from pgtv.rows.subject import Subject

_HALF = 2**31
_WHOLE = 2**32
MOST_YOUNG = 1_000_000  # versions that are brought, at some 50 bytes each
MOST_AGE = _HALF - 10_000_000  # farther back, numbers cannot be told from those to come

# Of the transaction that runs it: the oldest transaction not known to have ended, the next number,
# and how many transactions ago a given one was.
MOMENT = """
SELECT pg_catalog.json_build_array(
       pg_catalog.pg_snapshot_xmin(s)::text::int8, pg_catalog.pg_snapshot_xmax(s)::text::int8,
       pg_catalog.age('%d'::pg_catalog.xid))::text
FROM pg_catalog.pg_current_snapshot() s
"""

_NUMBERS = frozenset({"bigint", "integer", "smallint", "tid"})
_HASHES = {
    "bigint": "hashint8extended({}, {})",
    "integer": "hashint8extended({}, {})",
    "smallint": "hashint8extended({}, {})",
    "uuid": "uuid_hash_extended({}, {})",
}


class Young(NamedTuple):
    """A young version: its transaction (32 bits), the hash of what it is linked by, its serial, and
    what its keys are found by; place is the relation that holds it, where that is partitioned."""

    xid: int
    hash: int
    serial: int | None
    value: str | None
    place: int | None


@dataclass(frozen=True, slots=True)
class Scan:
    """rows: all of them, None where too many are young to go on. total: the sum of all hashes.
    highest: the greatest serial."""

    rows: int | None
    total: int
    highest: int | None
    young: tuple[Young, ...]


@dataclass(frozen=True, slots=True)
class Horizon:
    """Transactions from `xid` on are young; `age` is what age(xmin) says of it here, and `following`
    the number that no transaction had yet."""

    xid: int  # 64 bits
    age: int
    following: int


def after(xid: int, horizon: int, span: int = _HALF) -> bool:
    """Whether a transaction of 32 bits is one of the `span` that begin with `horizon` (64 bits)."""
    return (xid - horizon) % _WHOLE < span


def horizon(evaluation: Evaluation, subject: Subject, xid: int | None = None) -> Horizon | None:
    """The horizon `xid` as this transaction sees it, by default its own snapshot's.

    None where it lies too far back to be told from the future. Raises psycopg.Error.
    """

    def moment(of: int) -> list[int]:
        found: list[int] = json.loads(evaluation.ask(subject, MOMENT % (of % _WHOLE))[0])
        return found

    oldest, following, age = moment(xid or 0)
    if xid is None:
        return Horizon(oldest, moment(oldest)[2], following)
    if not 0 <= following - xid < MOST_AGE:
        return None
    return Horizon(xid, age, following)


def scan(
    evaluation: Evaluation,
    subject: Subject,
    reading: Reading,
    since: Horizon,
    known: Collection[int] = (),
    *,
    estimate: float = -1,
    most: int | None = None,
) -> Scan:
    """Look at every row of a relation, as the TVIEW's owner; raises psycopg.Error.

    known: transactions above the horizon whose versions are not young. estimate: rows of the relation,
    by its statistics. Where more than `most` versions are young rows are not counted; without `most`
    they are, and of very many young ones none is brought.
    """
    limit = MOST_YOUNG if most is None else most
    # a list of all young rows of a large table could be larger than the server's memory
    large = estimate < 0 or estimate > MOST_YOUNG
    few = not large or int(evaluation.ask(subject, sampled(reading, since))[0]) <= 2 * limit
    if not few and most is not None:
        return Scan(None, 0, None, ())
    (text,) = evaluation.ask(subject, statement(reading, since, known, list_young=few))
    rows, total, highest, listed = json.loads(text)
    young = tuple(map(_young, listed.split("\n"))) if listed else ()
    if most is not None and len(young) > most:
        return Scan(None, 0, None, ())
    return Scan(rows, int(total), None if highest is None else int(highest), young)


def _young(line: str) -> Young:
    xid, hashed, serial, place, value = line.split(" ", 4)
    return Young(
        int(xid), int(hashed), int(serial) if serial else None,
        json.loads(value) if value.startswith('"') else value or None,
        int(place) if place else None,
    )  # fmt: skip


def statement(reading: Reading, since: Horizon, known: Collection[int], *, list_young: bool) -> str:
    """`[rows, total, greatest serial, young]`; young has a line each, which is what _young reads.

    One aggregate with one filter, as each asks for the age of every row. Lines are much cheaper than
    JSON. Sums of bigints are kept in 128 bits and cannot overflow.
    """
    hashed, highest, young = _hash(reading.linked), "NULL", "NULL"
    if reading.serial:
        highest = f"(SELECT pg_catalog.max({reading.serial.sql})::text FROM {reading.name} x)"
    if list_young:
        line = " || ' ' || ".join(
            (
                "x.xmin::text", f"{hashed}::text",
                f"COALESCE({reading.serial.sql}::text, '')" if reading.serial else "''",
                "x.tableoid::text" if reading.partitioned else "''",
                f"COALESCE({_shown(reading.value)}, '')" if reading.value else "''",
            )
        )  # fmt: skip
        xids = ",".join(map(str, sorted(known)))
        others = f" AND NOT x.xmin = ANY (CAST('{{{xids}}}' AS pg_catalog.xid[]))" if xids else ""
        young = f"pg_catalog.string_agg({line}, E'\\n') FILTER (WHERE {_is_young(since)}{others})"
    return (
        "SELECT pg_catalog.json_build_array(pg_catalog.count(*),"
        f" COALESCE(pg_catalog.sum({hashed}), 0)::text, {highest}, {young})::text"
        f" FROM {reading.name} x"
    )


def sampled(reading: Reading, since: Horizon) -> str:
    """About how many versions are young, by one page in a hundred."""
    return (
        f"SELECT (100 * pg_catalog.count(*) FILTER (WHERE {_is_young(since)}))::text"
        f" FROM {reading.name} x TABLESAMPLE SYSTEM (1)"
    )


def _is_young(since: Horizon) -> str:
    return f"pg_catalog.age(x.xmin) <= {since.age}"


def _shown(value: Term) -> str:
    """A value that is no number may have any characters in it, a line's end too."""
    text = f"{value.sql}::text"
    return text if value.type in _NUMBERS else f"pg_catalog.to_json({text})::text"


def keys_of(reading: Reading, subject: Subject, young: Sequence[Young]) -> Iterator[str]:
    """Queries that give the keys, as text, that these rows lead to; for a LOCAL one its values are."""
    type_ = subject.keys[0].type
    if reading.follows == MAPPED:
        given = f"SELECT * FROM {reading.name} x WHERE {_places(young)}"
        # one text column, and NULL is the key of no row
        yield (
            f"WITH {reading.delta} AS ({given})"
            f" SELECT CAST(k.k AS {type_})::text FROM ({reading.query}) k(k) WHERE k.k IS NOT NULL"
        )
        return
    columns = {c.name: c for c in subject.columns}
    values = literal("{" + ",".join(_element(y.value or "") for y in young) + "}")
    for name in reading.lookups:
        column = columns[name]
        for relation in (subject.view, subject.table):
            # by the definition a row may have come or gone that the table does not show, and back
            yield (
                f"SELECT CAST(x.{subject.keys[0].sql} AS {type_})::text FROM {relation} x"
                f" WHERE x.{column.sql} = ANY (CAST({values} AS {column.type}[]))"
                f" AND x.{subject.keys[0].sql} IS NOT NULL"
            )


def _places(young: Sequence[Young]) -> str:
    by_place: dict[int | None, list[str]] = {}
    for y in young:
        by_place.setdefault(y.place, []).append(f'"{y.value}"')
    found = []
    for place, tids in by_place.items():
        text = f"x.ctid = ANY (CAST('{{{','.join(tids)}}}' AS pg_catalog.tid[]))"
        found.append(text if place is None else f"(x.tableoid = {place} AND {text})")
    return " OR ".join(found) or "false"


def _hash(linked: Sequence[Term]) -> str:
    parts = []
    for n, term in enumerate(linked):
        if term.type in _HASHES:
            part = "pg_catalog." + _HASHES[term.type].format(term.sql, n)
        else:
            part = f'pg_catalog.hashtextextended({term.sql}::text COLLATE "C", {n})'
        parts.append(f"COALESCE({part}, {n + 1})")
    return f"({' # '.join(parts)})" if parts else "0::int8"


def _element(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
