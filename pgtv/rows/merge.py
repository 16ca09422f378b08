"""Brings the rows of one TVIEW up to date beside running writers, without keeping readers waiting.

Only rows that differ are written, in batches of keys, each in a short transaction: lock the rows in
key order, compute in later statements, write, commit. That alone is not enough. A writer whose
transaction is open meanwhile computed its rows from what it saw before the batch: it may put an old
value back, or delete a base row whose TVIEW row the batch has just inserted. So after each batch
comes a barrier: the transactions that held a writer's lock on the tables concerned when the batch
committed are waited for, and the batch is compared again; what differs then is merged again. A
writer that begins later sees the batch's rows and is right by itself.

A prepared transaction cannot be waited for: then the result is unknown and its gid is named.

The definition runs as the TVIEW's owner, never with a superuser's rights (see pgtv.rows.evaluate);
tables of TVIEWs that others map from carry triggers, which propagate what is written here. TVIEWs
that embed this one are not told: merge in dependency order, dependents included.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident, literal
from pgtv.rows import statements
from pgtv.rows.barrier import wait_for_writers
from pgtv.rows.statements import Part
from pgtv.rows.subject import Subject
from pgtv.session import retrying

if TYPE_CHECKING:
    import psycopg

ROUNDS = 8  # a row still wrong after so many barriers has a cause that merging does not cure

Key = tuple[str | None, ...]


@dataclass
class Merged:
    """What one TVIEW's merge did. waited: seconds spent at barriers; unknown: gids in the way."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    batches: int = 0
    rounds: int = 0
    waited: float = 0.0
    longest_batch: float = 0.0
    retries: int = 0
    unsettled: list[Key] = field(default_factory=list)
    unknown: tuple[str, ...] = ()
    keys: list[Key] = field(default_factory=list)  # written, up to the caller's bound

    @property
    def written(self) -> int:
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True)
class Writer:
    """A session that merges: its connection, and how it runs statements as the owner.

    run: executes one statement as the TVIEW's owner and gives its rows of one text column.
    """

    connection: psycopg.Connection[Any]
    run: Callable[[str], list[str]]


@dataclass(frozen=True)
class Pace:
    """How much at once. batch: keys a transaction; barrier_timeout: seconds a barrier may last."""

    batch: int = 1000
    barrier_timeout: float = 300.0
    rate: float | None = None  # rows a second at most
    keys_kept: int = 1000


def merge(
    writer: Writer,
    subject: Subject,
    keys: Sequence[Key],
    relations: Sequence[int],
    pace: Pace | None = None,
    on_batch: Callable[[Merged], None] | None = None,
    barrier: Callable[[Writer, Sequence[int], float], tuple[str, ...]] | None = None,
) -> Merged:
    """Make the rows with these keys what the definition gives.

    relations: OIDs of every table whose writers can reach the TVIEW, and of the TVIEW itself.
    barrier: replaced only by the test that shows why it is needed. Raises psycopg.Error; what was
    committed until then stays, and a further run goes on from there.
    """
    pace = pace or Pace()
    wait = barrier or barrier_of_writers
    result = Merged()
    pending = [*keys]
    for _ in range(ROUNDS):
        if not pending:
            break
        result.rounds += 1
        wrong: list[Key] = []
        for batch in _batches(pending, pace.batch):
            started = time.monotonic()
            _write(writer, subject, batch, result, pace)
            result.longest_batch = max(result.longest_batch, time.monotonic() - started)
            result.batches += 1
            before = time.monotonic()
            result.unknown += tuple(
                g for g in wait(writer, relations, pace.barrier_timeout) if g not in result.unknown
            )
            result.waited += time.monotonic() - before
            wrong += still_wrong(writer, subject, batch)
            if on_batch:
                on_batch(result)
            if pace.rate:
                time.sleep(max(0.0, len(batch) / pace.rate - (time.monotonic() - started)))
        pending = wrong
        if result.unknown:
            break
    result.unsettled = pending
    return result


def _batches(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for i in range(0, len(keys), size):
        yield keys[i : i + size]


def _write(
    writer: Writer, subject: Subject, batch: Sequence[Key], result: Merged, pace: Pace
) -> None:
    """One batch in one explicit transaction: queued refreshes of dependents flush at its COMMIT."""
    part = part_of(subject, batch)

    def once() -> tuple[int, int, int]:
        with writer.connection.transaction():
            writer.run(lock_rows(subject, part))
            return (
                _count(writer.run(delete_extra(subject, part))),
                _count(writer.run(update_changed(subject, part))),
                _count(writer.run(insert_missing(subject, part))),
            )

    deleted, updated, inserted = retrying(once, lambda _: _again(result))
    result.deleted += deleted
    result.updated += updated
    result.inserted += inserted
    if deleted + updated + inserted:
        room = pace.keys_kept - len(result.keys)
        result.keys += list(batch[: max(room, 0)])


def _again(result: Merged) -> None:
    result.retries += 1


def _count(rows: list[str]) -> int:
    return int(rows[0]) if rows else 0


def still_wrong(writer: Writer, subject: Subject, batch: Sequence[Key]) -> list[Key]:
    """The keys of a batch that differ now, in a snapshot of its own."""
    with writer.connection.transaction():
        return [key for _, key in keys_of(writer, subject, part_of(subject, batch))]


def keys_of(writer: Writer, subject: Subject, part: Part) -> list[tuple[int, Key]]:
    """(kind, key) of every differing row of `part`."""
    by_image = not statements.by_equality(subject)
    rows = writer.run(statements.differing_keys(subject, part, exact_keys=by_image))
    found = []
    for row in rows:
        kind, key = json.loads(row)
        found.append((kind, tuple(key)))
    return found


def part_of(subject: Subject, batch: Sequence[Key]) -> Part:
    """The rows with these keys, as one predicate that an index can serve."""
    if len(subject.keys) == 1 and all(k[0] is not None for k in batch):
        column = subject.keys[0]
        values = ", ".join(literal(str(k[0])) for k in batch)
        return Part(where=f"x.{column.sql} = ANY (CAST(ARRAY[{values}] AS {column.type}[]))")
    return statements.keys_in(subject, batch)


def lock_rows(subject: Subject, part: Part) -> str:
    """Locks the table's rows of the batch in key order: two mergers or writers never deadlock."""
    order = ", ".join(f"x.{k.sql}" for k in subject.keys)
    return (
        f"SELECT count(*)::text FROM (SELECT 1 FROM {subject.table} x WHERE {part.where}"
        f" ORDER BY {order} FOR UPDATE) locked"
    )


def delete_extra(subject: Subject, part: Part) -> str:
    """Rows whose identity the definition does not give."""
    inner = f"SELECT x.* FROM {subject.view} x WHERE {part.where}"
    return (
        f"WITH gone AS (DELETE FROM {subject.table} x WHERE {part.where}"
        f" AND NOT EXISTS (SELECT 1 FROM ({inner}) v WHERE {_same(subject, 'v', 'x')})"
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
    inner = f"SELECT x.* FROM {subject.view} x WHERE {part.where}"
    return (
        f"WITH changed AS (UPDATE {subject.table} x SET ({names}) = ROW({right})"
        f" FROM ({inner}) v WHERE {part.where} AND {_same(subject, 'v', 'x')}"
        f" AND ROW({left})::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW({right})::pg_catalog.record"
        " RETURNING 1) SELECT pg_catalog.count(*)::text FROM changed"
    )


def insert_missing(subject: Subject, part: Part) -> str:
    """Rows that the definition gives and the table lacks; a writer may have been faster."""
    names = ", ".join(c.sql for c in subject.columns)
    values = ", ".join(f"v.{c.sql}" for c in subject.columns)
    inner = f"SELECT x.* FROM {subject.view} x WHERE {part.where}"
    order = ", ".join(f"v.{k.sql}" for k in subject.keys)
    return (
        f"WITH new AS (INSERT INTO {subject.table} ({names}) SELECT {values} FROM ({inner}) v"
        f" WHERE NOT EXISTS (SELECT 1 FROM {subject.table} x WHERE {_same(subject, 'v', 'x')})"
        f" ORDER BY {order} ON CONFLICT DO NOTHING RETURNING 1)"
        " SELECT pg_catalog.count(*)::text FROM new"
    )


def _same(subject: Subject, one: str, other: str) -> str:
    return " AND ".join(f"{one}.{k.sql} = {other}.{k.sql}" for k in subject.keys)


def barrier_of_writers(writer: Writer, relations: Sequence[int], timeout: float) -> tuple[str, ...]:
    """Wait for who writes these relations now; gives gids that cannot be waited for."""
    return wait_for_writers(writer.connection, relations, timeout)


def confined_writer(
    connection: psycopg.Connection[Any], owner: str, *, superuser_login: bool
) -> Writer:
    """Statements as the TVIEW's owner: by role where the login has no more rights, else through a
    SECURITY DEFINER function of the owner in pg_temp, which planted code cannot leave."""
    if not superuser_login:

        def run(statement: str) -> list[str]:
            return [r[0] for r in connection.execute(statement.encode())]

        return Writer(connection, run)
    name = "pg_temp.pgtv_write"
    connection.execute(
        f"CREATE OR REPLACE FUNCTION {name}(text) RETURNS SETOF text LANGUAGE plpgsql"
        " SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
        f" AS 'BEGIN RETURN QUERY EXECUTE $1; END'; ALTER FUNCTION {name}(text) OWNER TO"
        f" {ident(owner)}".encode()
    )

    def confined(statement: str) -> list[str]:
        query = f"SELECT x FROM {name}(%s) x"
        return [r[0] for r in connection.execute(query.encode(), (statement,))]

    return Writer(connection, confined)
