"""The SQL of a comparison. Each statement gives one text column; it runs as the TVIEW's owner.

Two ways to pair rows of the definition (v) and of the table (t). By `=` on the identity, where an
index proves that the table holds each once: a hash join. Else, and where the definition proves to
give an identity twice, by the identity's image and the row's place among equals: a sort, exact for
null keys, duplicates and types without `=`.

Equality of rows is the extension's own: of record images (`*=`). For columns whose `=` holds exactly
when the images are equal `=` is used instead, because building records is what costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgtv.catalog.dialects.base import literal
from pgtv.rows.subject import Column, Subject

MATCH, MISSING, EXTRA, CHANGED = 0, 1, 2, 3
KINDS = {MISSING: "missing", EXTRA: "extra", CHANGED: "changed"}
SHOWN_BYTES = 250_000  # a larger value is not brought to the client

_NUMERIC = 1700
# hash functions by type, which are cheaper than hashing a record; all take a seed and are strict
_HASHES = {
    20: "hashint8extended", 21: "hashint2extended", 23: "hashint4extended", 25: "hashtextextended",
    1043: "hashtextextended", 1114: "timestamp_hash_extended", 2950: "uuid_hash_extended",
    3802: "jsonb_hash_extended",
}  # fmt: skip
# types that hash_record_extended takes; the text of any other is hashed, which sees more differences
_RECORD_HASHES = {16, 17, 18, 19, 26, 700, 701, 1082, 1083, 1184, 1186, 1266, 1700}


@dataclass(frozen=True)
class Part:
    """A part of the rows: keys in [low, high) or up to `upto`, null ones, a sample, a predicate.

    Everything applies to both sides alike, so that what is missing is seen as well as what is extra.
    Ends are of the one column of a key, integers or texts of its type.
    """

    low: int | str | None = None
    high: int | str | None = None
    upto: int | str | None = None
    nulls: bool = False
    sample: tuple[int, int] | None = None  # (parts of a million, seed)
    where: str | None = None

    @property
    def whole(self) -> bool:
        return self == Part()


def by_equality(subject: Subject) -> bool:
    """Whether `=` on the identity pairs rows rightly."""
    return subject.unique and all(k.plain or k.base == _NUMERIC for k in subject.keys)


def count(subject: Subject, part: Part, *, exact_keys: bool) -> str:
    """`[pairs, missing, extra, changed]`; counted by FILTER, since grouping by kind costs more."""
    at = _key_positions(subject)[0]
    # where `=` pairs rows the table's key is never null, and a null one of the definition pairs none
    table, view = ("t.t_here", "v.v_here") if exact_keys else (f"t.t{at}", f"v.v{at}")
    return (
        "SELECT pg_catalog.json_build_array(pg_catalog.count(*),"
        f" pg_catalog.count(*) FILTER (WHERE {table} IS NULL),"
        f" pg_catalog.count(*) FILTER (WHERE {view} IS NULL AND {table} IS NOT NULL),"
        f" pg_catalog.count(*) FILTER (WHERE {table} IS NOT NULL AND {view} IS NOT NULL"
        f" AND ({_differs(subject, exact_keys)})))::text{_joined(subject, part, exact_keys)}"
    )


def table_rows(subject: Subject, part: Part) -> str:
    """How many rows the table holds."""
    return f"SELECT pg_catalog.count(*)::text FROM {subject.table} x{_where(subject, part, 't')}"


def differing(subject: Subject, part: Part, limit: int, *, exact_keys: bool) -> str:
    """The first rows that differ, by key: `[kind, keys, definition's values, table's values]`."""
    order = ", ".join(f"COALESCE(q.t{i}, q.v{i})" for i in _key_positions(subject))
    if not by_equality(subject):
        order = f"COALESCE({_texts_of(subject, 't')}, {_texts_of(subject, 'v')})"
    keys = ", ".join(f"COALESCE(q.t{i}::text, q.v{i}::text)" for i in _key_positions(subject))
    return (
        f"SELECT pg_catalog.json_build_array(q.kind, pg_catalog.json_build_array({keys}),"
        f" {_values(subject, 'v')}, {_values(subject, 't')})::text"
        f" FROM ({_kinds(subject, part, exact_keys)}) q WHERE q.kind <> {MATCH}"
        f" ORDER BY {order} LIMIT {limit}"
    )


def differing_keys(
    subject: Subject,
    part: Part,
    *,
    exact_keys: bool,
    limit: int | None = None,
    after: Sequence[str | None] | None = None,
) -> str:
    """Rows that differ: `[kind, keys]`, without values, by key; all or the first `limit` of those that
    follow the key `after`."""
    texts = [f"COALESCE(q.t{i}::text, q.v{i}::text)" for i in _key_positions(subject)]
    keys = ", ".join(texts)
    order = ", ".join(f"COALESCE(q.t{i}, q.v{i})" for i in _key_positions(subject))
    if not by_equality(subject):
        order = f"ARRAY[{keys}]"
    found = (
        f"SELECT pg_catalog.json_build_array(q.kind, pg_catalog.json_build_array({keys}))::text AS x"
        f" FROM ({_kinds(subject, part, exact_keys)}) q WHERE q.kind <> {MATCH}"
    )
    if after is not None:
        found += f" AND {_follows(subject, order, after)}"
    # in order with a limit too: without, it would be planned for a quick first row, and not parallel
    return f"{found} ORDER BY {order}" + (f" LIMIT {limit}" if limit is not None else "")


def _follows(subject: Subject, order: str, after: Sequence[str | None]) -> str:
    """Whether a row comes after this key; null ones, of which no index proves anything, come last."""
    if not by_equality(subject):
        values = ", ".join("NULL" if v is None else literal(v) for v in after)
        return f"{order} > CAST(ARRAY[{values}] AS pg_catalog.text[])"
    typed = [_typed(c, v) for c, v in zip(subject.keys, after, strict=True) if v is not None]
    if len(typed) < len(after):
        return "false"
    return f"(ROW({order}) > ROW({', '.join(typed)})) IS NOT FALSE"


def rows(subject: Subject, part: Part, limit: int) -> str:
    """All pairs of `part`, equal ones too, as `differing` gives them."""
    keys = ", ".join(f"COALESCE(q.t{i}::text, q.v{i}::text)" for i in _key_positions(subject))
    return (
        f"SELECT pg_catalog.json_build_array(q.kind, pg_catalog.json_build_array({keys}),"
        f" {_values(subject, 'v')}, {_values(subject, 't')})::text"
        f" FROM ({_kinds(subject, part, not by_equality(subject))}) q LIMIT {limit}"
    )


def fingerprint(subject: Subject, part: Part, side: str) -> str:
    """`[rows, sum of hashes]` of one side (`v` or `t`): logical equality.

    Each column's hash is seeded with the identity's, so values that changed places are seen. The sum
    of bigints is kept in 128 bits: it cannot overflow, costs as much as an xor, and unlike that does
    not lose a row that occurs twice.
    """
    at = _key_positions(subject)
    key = " # ".join(_hash(subject.columns[i], f"x.{side}{i}", str(n)) for n, i in enumerate(at))
    others = [i for i in range(len(subject.columns)) if i not in at]
    whole = " # ".join(
        [key, *(_hash(subject.columns[i], f"x.{side}{i}", f"({key}) + {i}") for i in others)]
    )
    return (
        "SELECT pg_catalog.json_build_array(pg_catalog.count(*),"
        " COALESCE(pg_catalog.sum(y.h), 0)::text)::text"
        f" FROM (SELECT {whole} AS h FROM ({_rows(subject, part, side)}) x) y"
    )


def bounds(subject: Subject) -> str:
    """`[least, greatest]` of an integer key of the table, where an index has both."""
    key = subject.keys[0].sql
    return (
        f"SELECT pg_catalog.json_build_array(pg_catalog.min(x.{key}), pg_catalog.max(x.{key}))::text"
        f" FROM {subject.table} x"
    )


def marks(subject: Subject, step: int, most: int) -> str:
    """Keys that cut both sides' rows into pieces, in order: `[side, key, rows]`, where `rows` is the
    most that the side has from one of its marks to the next.

    Each side's first and last key, and every `step`-th between, or fewer where these would be more
    than `most`. Rows are counted, as keys need not lie evenly.
    """
    key = subject.keys[0]

    def side(name: str) -> str:
        value = _value(key, name)
        return (
            f"SELECT '{name}' AS side, q.k, q.step FROM (SELECT {value} AS k,"
            f" pg_catalog.row_number() OVER (ORDER BY {value}) AS n,"
            " pg_catalog.count(*) OVER () AS rows,"
            f" GREATEST({step}, pg_catalog.count(*) OVER () / {most} + 1) AS step"
            f" FROM {subject.view if name == 'v' else subject.table} x"
            f" WHERE x.{key.sql} IS NOT NULL) q WHERE q.n IN (1, q.rows) OR q.n % q.step = 0"
        )

    shown = "m.k" if key.integer else "m.k::text"
    return (
        f"SELECT pg_catalog.json_build_array(m.side, {shown}, m.step)::text"
        f" FROM ({side('t')} UNION ALL {side('v')}) m ORDER BY m.k"
    )


def policies(subject: Subject) -> str:
    """Whether row-level security would hide rows of the table from whoever runs this."""
    return f"SELECT pg_catalog.row_security_active({literal(subject.table)}::pg_catalog.regclass)::text"


def keys_in(subject: Subject, keys: Sequence[Sequence[str | None]]) -> Part:
    """The rows with these identities, each value as text."""
    return Part(where=" OR ".join(f"({_identity(subject, k)})" for k in keys) or "false")


def column_is(column: Column, value: str) -> Part:
    return Part(where=f"x.{column.sql} = {_typed(column, value)}")


def possible(subject: Subject, part: Part) -> str:
    """A query that fails where a predicate's value is none of its column's type; reads no row."""
    return f"SELECT ''::text FROM {subject.table} x{_where(subject, part, 't')} LIMIT 0"


def _identity(subject: Subject, key: Sequence[str | None]) -> str:
    return " AND ".join(
        f"x.{c.sql} IS NULL" if v is None else f"x.{c.sql} = {_typed(c, v)}"
        for c, v in zip(subject.keys, key, strict=True)
    )


def _typed(column: Column, value: str) -> str:
    return f"CAST({literal(value)} AS {column.type})"


def _hash(c: Column, value: str, seed: str) -> str:
    """A hash of one value that is never null; the same for what is logically equal."""
    function = _HASHES.get(c.base)
    if function and (c.plain or c.base == 3802):
        return f"COALESCE(pg_catalog.{function}({value}, {seed}), 1)"
    if c.base in _RECORD_HASHES:
        return f"pg_catalog.hash_record_extended(ROW({value}), {seed})"
    return f'COALESCE(pg_catalog.hashtextextended({value}::text COLLATE "C", {seed}), 1)'


def _key_positions(subject: Subject) -> list[int]:
    return [subject.columns.index(k) for k in subject.keys]


def _texts_of(subject: Subject, side: str) -> str:
    texts = ", ".join(f"q.{side}{i}::text" for i in _key_positions(subject))
    return f"ARRAY[{texts}]"


def _values(subject: Subject, side: str) -> str:
    """The row's values as text; a value too large to show is told as `[bytes]`."""
    shown = ", ".join(
        f"CASE WHEN pg_catalog.octet_length(q.{side}{i}::text) > {SHOWN_BYTES}"
        f" THEN pg_catalog.json_build_array(pg_catalog.octet_length(q.{side}{i}::text))"
        f" ELSE pg_catalog.to_json(q.{side}{i}::text) END"
        for i in range(len(subject.columns))
    )
    return f"pg_catalog.json_build_array({shown})"


def _where(subject: Subject, part: Part, side: str) -> str:
    conditions = []
    key = f"x.{subject.keys[0].sql}"
    span = [
        f"{key} {operator} {end if isinstance(end, int) else _typed(subject.keys[0], end)}"
        for operator, end in ((">=", part.low), ("<", part.high), ("<=", part.upto))
        if end is not None
    ]
    if span:
        text = " AND ".join(span)
        conditions.append(text)
    if part.nulls:
        conditions.append(f"{key} IS NULL")
    if part.sample:
        share, seed = part.sample
        columns = ", ".join(f"{_value(k, side)}::text" for k in subject.keys)
        hashed = f"pg_catalog.hash_record_extended(ROW({columns}), {seed})"
        conditions.append(f"({hashed} & 1048575) < {round(share * 1.048576)}")
    if part.where:
        conditions.append(f"({part.where})")
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def condition(subject: Subject, part: Part, then: str = "") -> str:
    """WHERE for rows of `part` in the table; with `then` open for one more condition."""
    text = _where(subject, part, "t")
    if not then:
        return text
    return f"{text} {then}" if text else " WHERE"


def _value(column: Column, side: str) -> str:
    """A column of one side, the definition's as the table would store it."""
    if side == "v" and column.cast:
        return f"CAST(x.{column.sql} AS {column.type})"
    return f"x.{column.sql}"


def _rows(subject: Subject, part: Part, side: str) -> str:
    """One side's rows, columns named by place."""
    relation = subject.view if side == "v" else subject.table
    names = ", ".join(f"{_value(c, side)} AS {side}{i}" for i, c in enumerate(subject.columns))
    here = f"true AS {side}_here"
    return f"SELECT {names}, {here} FROM {relation} x{_where(subject, part, side)}"


def _side(subject: Subject, part: Part, side: str, exact_keys: bool) -> str:
    inner = _rows(subject, part, side)
    if not exact_keys:
        return f"({inner}) {side}"
    keys = ", ".join(f"y.{side}{i}" for i in _key_positions(subject))
    everything = ", ".join(f"y.{side}{i}" for i in range(len(subject.columns)))
    place = (
        f"pg_catalog.row_number() OVER (PARTITION BY ROW({keys})"
        f" ORDER BY ROW({everything}) USING OPERATOR(pg_catalog.*<))"
    )
    return f"(SELECT y.*, {place} AS {side}_place FROM ({inner}) y) {side}"


def _kinds(subject: Subject, part: Part, exact_keys: bool) -> str:
    """Pairs with their kind and both sides' columns."""
    shown = "".join(f", v.v{i}, t.t{i}" for i in range(len(subject.columns)))
    return (
        f"SELECT CASE WHEN t.t_here IS NULL THEN {MISSING} WHEN v.v_here IS NULL THEN {EXTRA}"
        f" WHEN {_differs(subject, exact_keys)} THEN {CHANGED} ELSE {MATCH} END AS kind{shown}"
        f"{_joined(subject, part, exact_keys)}"
    )


def _joined(subject: Subject, part: Part, exact_keys: bool) -> str:
    """FROM: each row of the definition (v) with its row of the table (t)."""
    at = _key_positions(subject)
    if exact_keys:
        left = ", ".join(f"v.v{i}" for i in at)
        right = ", ".join(f"t.t{i}" for i in at)
        on = (
            f"ROW({left}, v.v_place)::pg_catalog.record"
            f" OPERATOR(pg_catalog.*=) ROW({right}, t.t_place)::pg_catalog.record"
        )
    else:
        on = " AND ".join(f"v.v{i} = t.t{i}" for i in at)
    return (
        f" FROM {_side(subject, part, 'v', exact_keys)}"
        f" FULL JOIN {_side(subject, part, 't', exact_keys)} ON {on}"
    )


def _differs(subject: Subject, exact_keys: bool) -> str:
    plain, imaged = list[int](), list[int]()
    for i, c in enumerate(subject.columns):
        if c in subject.keys and (exact_keys or c.plain):
            continue  # equal, or they would not be a pair
        (plain if c.plain else imaged).append(i)
    tests = [f"v.v{i} IS DISTINCT FROM t.t{i}" for i in plain]
    if imaged:
        left = ", ".join(f"v.v{i}" for i in imaged)
        right = ", ".join(f"t.t{i}" for i in imaged)
        tests.append(
            f"ROW({left})::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW({right})::pg_catalog.record"
        )
    return " OR ".join(tests) or "false"


def explain(query: str) -> str:
    """The planner's tree of a query, a line a row; the first line has the cost."""
    return f"EXPLAIN (FORMAT TEXT, VERBOSE off) {query}"


def reading(subject: Subject, part: Part) -> str:
    """The definition's rows of `part`: for asking the planner what they cost."""
    return f"SELECT * FROM {subject.view} x{_where(subject, part, 'v')}"
