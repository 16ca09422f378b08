"""Looks at every prepared transaction of a cluster: one snapshot of each database that has one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pgtv.catalog.model import Prepared, Snapshot
from pgtv.repairs.pending import Pending
from pgtv.repairs.twophase import Transaction, describe
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.repairs.dead_letters import DeadLetter


@dataclass(frozen=True)
class Survey:
    """snapshot: of the database connected to. looked: of each that was looked into, by name."""

    snapshot: Snapshot
    looked: dict[str, Snapshot]
    transactions: list[Transaction]
    pending: list[Pending] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


def of_snapshot(snapshot: Snapshot) -> Survey:
    """What one snapshot tells: of other databases only that they have prepared transactions."""
    looked = {snapshot.server.database: snapshot}
    return Survey(snapshot, looked, describe(snapshot.prepared, looked, {}))


def look(target: Target, dead_letters: int = 0) -> Survey:
    """Look at the server now, in every database with a prepared transaction; writes nothing.

    dead_letters: how many records of each database to read too. Raises ConnectError for the first
    database; another that cannot be looked into is told as such.
    """
    from pgtv.catalog.collect import collect
    from pgtv.errors import PgtvError
    from pgtv.repairs import dead_letters as letters
    from pgtv.repairs import pending
    from pgtv.session import connected

    looked: dict[str, Snapshot] = {}
    unseen: dict[str, str] = {}
    queues: list[Pending] = []
    records: list[DeadLetter] = []

    def into(where: Target) -> Snapshot:
        with connected(where) as connection:
            snapshot = collect(connection)
            name = snapshot.server.database
            queues.extend(pending.look(connection, name))
            if dead_letters:
                records.extend(letters.listed(connection, dead_letters))
            looked[name] = snapshot
            return snapshot

    snapshot = into(target)
    for name in dict.fromkeys(p.database for p in snapshot.prepared):
        if name not in looked:
            try:
                into(target.in_database(name))
            except PgtvError as e:
                unseen[name] = e.message
    # the other databases were looked at later: what has ended meanwhile is left out, and who waits
    # is as of each one's own snapshot
    return Survey(
        snapshot, looked, describe(_still(snapshot, looked), looked, unseen), queues, records
    )


def _still(snapshot: Snapshot, looked: dict[str, Snapshot]) -> Iterator[Prepared]:
    for one in snapshot.prepared:
        newer = looked.get(one.database)
        if newer is None or any((p.gid, p.xid) == (one.gid, one.xid) for p in newer.prepared):
            yield one


def with_keys(target: Target, survey: Survey, gids: Iterable[str]) -> list[Transaction]:
    """The transactions named, with the rows of theirs that can be told. Reads tables."""
    from pgtv.rows.prepared import keys
    from pgtv.session import connected

    wanted = set(gids)
    found = []
    for one in survey.transactions:
        if one.gid not in wanted:
            continue
        snapshot = survey.looked.get(one.database)
        if snapshot is None or not one.looked:
            found.append(one)
            continue
        (prepared,) = [p for p in snapshot.prepared if (p.gid, p.xid) == (one.gid, one.xid)]
        with connected(target.in_database(one.database)) as connection:
            found.append(replace(one, keys=tuple(keys(connection, snapshot, prepared))))
    return found
