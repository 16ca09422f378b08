"""Which rows a prepared transaction touched, as far as anybody else can see them before it ends.

Two things tell. A row that it changed or deleted is still there for others and carries its
transaction id in xmax (a savepoint's rows carry the savepoint's own id). And the extension keeps a
lock on every key that it changes or creates: see pgtv.catalog.dialects.locking. Rows that it inserts
are otherwise seen by nobody; only their number is bounded by those locks.

Reads the tables once, under ACCESS SHARE, in a read-only transaction; a table on which the
transaction holds ACCESS EXCLUSIVE is left out, and so is one that runs code when it is read: who looks
is mostly a superuser, and the table is anybody's. Keys are printed by their types' output functions,
which superusers make, and not by casts, which anybody can make for types of his own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.dialects.locking import CREATES, RELATION, VALUE, hashes_of_key
from pgtv.catalog.model import Lock, Prepared, Relation, Snapshot
from pgtv.catalog.waits import held_by, written_by
from pgtv.graph.edges import edges
from pgtv.session import snapshot_transaction, translate

if TYPE_CHECKING:
    import psycopg

KEPT = 100  # keys a table that are told; all are counted
AHEAD = 10_000  # integers above the greatest visible key that are tried against its locks


@dataclass(frozen=True)
class Keys:
    """Rows of one table that a prepared transaction touched, as far as others can see them.

    changed: visible rows that it changed, deleted or locked. savepoint: how many of them carry a
    savepoint's mark that may be another open transaction's. keys: theirs, up to a bound. created:
    keys of rows that it makes, told by its locks. unseen: locked values that fit no key known; None
    where it locked too many to tell them apart. reason: why the table was not looked into.
    """

    relation: str
    columns: tuple[str, ...] = ()
    changed: int = 0
    savepoint: int = 0
    keys: tuple[tuple[str | None, ...], ...] = ()
    created: tuple[str, ...] = ()
    unseen: int | None = 0
    reason: str | None = None


# Marks by transaction id: only those as young as the transaction itself can be its savepoints'.
_MARKED = """
SELECT x.xmax::text, pg_catalog.count(*)::int8,
       (pg_catalog.array_agg(ARRAY[{keys}] ORDER BY {order}))[1:{kept}]
FROM ONLY {table} x
WHERE x.xmax <> '0'::pg_catalog.xid AND pg_catalog.age(x.xmax) <= pg_catalog.age(%(xid)s::pg_catalog.xid)
  AND pg_catalog.age(x.xmax) >= 0
GROUP BY x.xmax::text
"""

# What the planner computes constants in before it reads the table, where it calls what was made since
# the server was; but not what a superuser made. The transaction's own lock keeps new indexes away.
_PLANNED = """
SELECT pg_catalog.format('%%s %%I calls %%s', e.what, e.name, COALESCE(
         d.refobjid::pg_catalog.regprocedure::text, 'an operator'))
FROM (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, i.indexrelid AS oid,
             'its index' AS what, c.relname AS name
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      WHERE i.indrelid = %(table)s::oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
      UNION ALL
      SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 'its statistics', s.stxname
      FROM pg_catalog.pg_statistic_ext s
      WHERE s.stxrelid = %(table)s::oid AND s.stxexprs IS NOT NULL) e
JOIN pg_catalog.pg_depend d ON d.classid = e.class AND d.objid = e.oid
LEFT JOIN pg_catalog.pg_proc p
       ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.refobjid
LEFT JOIN pg_catalog.pg_operator o
       ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
LEFT JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode
JOIN pg_catalog.pg_roles r ON r.oid = COALESCE(p.proowner, f.proowner)
WHERE d.refobjid >= 16384 AND NOT r.rolsuper AND r.rolname <> SESSION_USER
LIMIT 1
"""

# Of these ids, those of savepoints still open; and the transactions that each may belong to.
_OPEN = """
WITH mark AS (
  -- the epoch follows from the newest completed id, which may be a little older or younger
  SELECT m.xid, n + pg_catalog.mod(pg_catalog.mod(m.xid::numeric - n + 2147483648, 4294967296)
                                   + 4294967296, 4294967296) - 2147483648 AS whole
  FROM pg_catalog.unnest(%(marks)s::text[]) AS m(xid),
       (SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric) AS x(n)
)
SELECT m.xid,
       ARRAY(SELECT l.transactionid::text FROM pg_catalog.pg_locks l
              WHERE l.locktype = 'transactionid' AND l.granted
                AND pg_catalog.age(l.transactionid) > pg_catalog.age(m.xid::pg_catalog.xid))
FROM mark m
WHERE m.whole >= 0 AND pg_catalog.age(m.xid::pg_catalog.xid) > 0
  -- who holds the lock of this very id is a transaction or a savepoint of a session that runs
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_locks l
                   WHERE l.locktype = 'transactionid' AND l.granted
                     AND l.transactionid = m.xid::pg_catalog.xid)
  AND pg_catalog.pg_xact_status(m.whole::text::pg_catalog.xid8) = 'in progress'
"""


def tables_of_tviews(snapshot: Snapshot) -> set[int]:
    """OIDs of TVIEWs' tables and of all that they read; the extension's own tables are not among them."""
    graph = edges(snapshot)
    return set(graph.upstream(graph.tviews))


def value_locks(locks: Iterable[Lock], gid: str) -> set[tuple[int, int]]:
    """(relation, hash) of every single value that a prepared transaction locked for writing."""
    found = set()
    for lock in locks:
        if lock.gid == gid and lock.advisory and lock.granted and lock.mode == "ExclusiveLock":
            relation, hashed, kind = (int(x) for x in (lock.target or "0/0/0").split("/"))
            if kind == VALUE:
                found.add((relation, hashed))
    return found


def keys(connection: psycopg.Connection[Any], snapshot: Snapshot, one: Prepared) -> list[Keys]:
    """For each table that the transaction writes, the rows that can be told.

    Raises psycopg.Error only when the connection is lost; else a table that cannot be read says why.
    """
    import psycopg

    found = []
    held = held_by(snapshot, one.gid)
    read = tables_of_tviews(snapshot)
    for oid in written_by(snapshot, one):
        relation = snapshot.by_oid[oid]
        if relation.kind != "r" or oid not in read:
            continue  # a partitioned table's partitions are there themselves
        if "AccessExclusiveLock" in held.get(oid, ()):
            why = "it holds ACCESS EXCLUSIVE on the table: nobody can read it"
            found.append(Keys(relation.qualified, reason=why))
            continue
        try:
            with snapshot_transaction(connection):
                found.append(_of_table(connection, snapshot, one, relation))
        except psycopg.Error as e:
            if connection.closed:
                raise
            found.append(Keys(relation.qualified, reason=translate(e).message))
    return found


def _of_table(
    connection: psycopg.Connection[Any], snapshot: Snapshot, one: Prepared, relation: Relation
) -> Keys:
    # nor are policies applied, or checks planned with
    connection.execute("SET LOCAL row_security = off; SET LOCAL constraint_exclusion = off")
    code = connection.execute(_PLANNED, {"table": relation.oid}).fetchone()
    if code:
        why = f"{code[0]}, which reading the table would run (its owner: {relation.owner})"
        return Keys(relation.qualified, reason=why)
    columns = _key_columns(snapshot, relation)
    listed = ", ".join(f"x.{ident(c)}" for c in columns)
    query = _MARKED.format(
        keys=", ".join(_told(f"x.{ident(c)}") for c in columns) or "x.ctid::text",
        order=listed or "x.ctid", kept=KEPT, table=relation.qualified,
    )  # fmt: skip
    rows = connection.execute(query.encode(), {"xid": one.xid}).fetchall()
    owners = _savepoints(connection, [r[0] for r in rows if r[0] != one.xid])
    changed = savepoint = 0
    shown: list[tuple[str | None, ...]] = []
    for mark, count, texts in rows:
        if mark != one.xid and one.xid not in owners.get(mark, ()):
            continue
        changed += count
        if mark != one.xid and owners[mark] != [one.xid]:
            savepoint += count
        shown += [tuple(t) for t in texts]
    created, unseen = _by_locks(connection, snapshot, one, relation, columns, shown)
    return Keys(
        relation.qualified, columns, changed, savepoint, tuple(shown[:KEPT]), created, unseen
    )


def _told(column: str) -> str:
    return f"CASE WHEN {column} IS DISTINCT FROM NULL THEN pg_catalog.format('%%s', {column}) END"


def _savepoints(connection: psycopg.Connection[Any], marks: Sequence[str]) -> dict[str, list[str]]:
    """Of transaction ids found in rows: those still open, with the transactions they may belong to."""
    if not marks:
        return {}
    rows = connection.execute(_OPEN.encode(), {"marks": list(marks)}).fetchall()
    return dict(rows)


def _key_columns(snapshot: Snapshot, relation: Relation) -> tuple[str, ...]:
    """A TVIEW's identity, else the primary key, else none."""
    tview = snapshot.tview_by_table.get(relation.oid)
    if tview and set(tview.identity) <= {c.name for c in relation.columns}:
        return tview.identity
    indexes = snapshot.indexes_on.get(relation.oid, ())
    return next((i.columns for i in indexes if i.primary), ())


def _by_locks(
    connection: psycopg.Connection[Any],
    snapshot: Snapshot,
    one: Prepared,
    relation: Relation,
    columns: tuple[str, ...],
    shown: Iterable[tuple[str | None, ...]],
) -> tuple[tuple[str, ...], int | None]:
    """(keys that it creates, locked values that fit no key), for a TVIEW's table."""
    if relation.oid not in snapshot.tview_by_table or len(columns) != 1:
        return (), 0
    mine = [k for k in snapshot.locks if k.gid == one.gid and k.relation == relation.oid]
    if any(_escalated(k) for k in mine):
        return (), None
    hashes = {h for oid, h in value_locks(mine, one.gid) if oid == relation.oid}
    for key in shown:
        hashes.difference_update(hashes_of_key(key[0] or ""))
    creates = any((k.target or "").endswith(f"/{CREATES}/{RELATION}") for k in mine)
    if not hashes or not creates:
        # what is left are values of other columns: no rows of its own
        return (), 0
    created = []
    for key_text in _tried(connection, relation, columns[0]):
        changes, creation = hashes_of_key(key_text)
        if creation in hashes:
            created.append(key_text)
            hashes -= {changes, creation}
    return tuple(created), len(hashes)


def _escalated(lock: Lock) -> bool:
    """Whether it stands for all values of the relation: single ones are no longer locked."""
    whole = lock.advisory and (lock.target or "").endswith(f"/{RELATION}")
    return whole and lock.mode == "ExclusiveLock"


def _tried(connection: psycopg.Connection[Any], relation: Relation, column: str) -> Iterator[str]:
    """Keys that a new row may have: the integers that follow the greatest visible one."""
    types = {c.name: c.type for c in relation.columns}
    if types.get(column) not in ("bigint", "integer", "smallint"):
        return
    row = connection.execute(
        f"SELECT COALESCE(pg_catalog.max(x.{ident(column)}), 0)::int8"
        f" FROM ONLY {relation.qualified} x".encode()
    ).fetchone()
    greatest = row[0] if row else 0
    yield from (str(n) for n in range(greatest + 1, greatest + 1 + AHEAD))
