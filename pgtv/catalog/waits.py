"""Who waits for whom, as the locks of a snapshot tell it: pure functions.

The server's own pg_blocking_pids answers 0 for a prepared transaction, whichever it is: which one it
is follows from pg_locks, by the transaction waited for or by conflicting modes on the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgtv.catalog.model import Lock, Prepared, Session, Snapshot

_ORDER = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock",
    "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
WRITES = "RowExclusiveLock"  # what INSERT, UPDATE and DELETE take
# documentation of PostgreSQL, table "Conflicting Lock Modes": mode -> the modes it conflicts with
_CONFLICTS = {
    "AccessShareLock": {_ORDER[7]},
    "RowShareLock": {_ORDER[6], _ORDER[7]},
    "RowExclusiveLock": set(_ORDER[4:]),
    "ShareUpdateExclusiveLock": set(_ORDER[3:]),
    "ShareLock": {_ORDER[2], _ORDER[3], *_ORDER[5:]},
    "ShareRowExclusiveLock": set(_ORDER[2:]),
    "ExclusiveLock": set(_ORDER[1:]),
    "AccessExclusiveLock": set(_ORDER),
}


def conflicts(one: str, other: str) -> bool:
    """Whether two lock modes, as pg_locks spells them, exclude each other."""
    return other in _CONFLICTS.get(one, ())


def strength(mode: str) -> int:
    """Rank of a lock mode, weakest 0; -1 for one that is no table lock."""
    return _ORDER.index(mode) if mode in _ORDER else -1


@dataclass(frozen=True)
class Wait:
    """One session that waits, for which relations, and who stands in its way."""

    pid: int
    session: Session | None
    mode: str
    seconds: float
    relations: tuple[int, ...]
    pids: tuple[int, ...]
    gids: tuple[str, ...]


def waits(snapshot: Snapshot, *, everywhere: bool = False) -> list[Wait]:
    """Every wait on a relation of a TVIEW, longest first; with `everywhere` every wait collected."""
    return [w for w in _waits(snapshot) if everywhere or w.relations]


def _waits(snapshot: Snapshot) -> Iterator[Wait]:
    sessions = {s.pid: s for s in snapshot.sessions}
    waiting = sorted(
        (lock for lock in snapshot.locks if not lock.granted and lock.pid is not None),
        key=lambda lock: -(lock.wait_seconds or 0.0),
    )
    for lock in waiting:
        assert lock.pid is not None
        session = sessions.get(lock.pid)
        # none: it waits for a relation or a transaction, and holds nothing that a TVIEW reads
        relations = (lock.relation,) if lock.relation else _written(snapshot, lock.pid)
        if lock.name is not None:
            relations = ()
        yield Wait(
            lock.pid,
            session,
            lock.mode,
            lock.wait_seconds or 0.0,
            relations,
            tuple(p for p in (session.blocked_by if session else ()) if p),
            _gids(snapshot, lock),
        )


def _written(snapshot: Snapshot, pid: int) -> tuple[int, ...]:
    """Relations that a session holds for writing, tables of TVIEWs and their base tables."""
    return tuple(
        sorted(
            {
                lock.relation
                for lock in snapshot.locks
                if lock.pid == pid
                and lock.granted
                and lock.relation is not None
                and lock.mode in _ORDER[1:]
                and lock.relation in snapshot.by_oid
            }
        )
    )


def _gids(snapshot: Snapshot, lock: Lock) -> tuple[str, ...]:
    if lock.relation is None:
        return tuple(p.gid for p in snapshot.prepared if p.xid == lock.target)
    return tuple(
        sorted(
            {
                held.gid
                for held in snapshot.locks
                if held.gid
                and held.granted
                and held.relation == lock.relation
                and held.target == lock.target
                and conflicts(lock.mode, held.mode)
            }
        )
    )


def root_blockers(queue: Iterable[Wait], wait: Wait) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Follow the queue from one wait of it: pids that wait for nobody themselves, and gids."""
    by_pid: dict[int, list[Wait]] = {}
    for other in queue:
        by_pid.setdefault(other.pid, []).append(other)
    pids: set[int] = set()
    gids: set[str] = set(wait.gids)
    seen, ahead = {wait.pid}, list(wait.pids)
    while ahead:
        pid = ahead.pop()
        if pid in seen:
            continue
        seen.add(pid)
        further = by_pid.get(pid)
        if not further:
            pids.add(pid)
            continue
        for other in further:
            gids.update(other.gids)
            ahead.extend(other.pids)
    return tuple(sorted(pids)), tuple(sorted(gids))


def held_by(snapshot: Snapshot, gid: str) -> dict[int, set[str]]:
    """Relation OID -> modes that a prepared transaction holds on relations of TVIEWs."""
    held: dict[int, set[str]] = {}
    for lock in snapshot.locks:
        if lock.gid == gid and lock.granted and lock.relation in snapshot.by_oid:
            assert lock.relation is not None
            if not lock.advisory:
                held.setdefault(lock.relation, set()).add(lock.mode)
    return held


def shut(snapshot: Snapshot, *, pid: int | None = None, gid: str | None = None) -> dict[int, str]:
    """Tables to which nobody else can write while this session or prepared transaction lasts: OID ->
    the strongest mode that it holds there.
    """
    found: dict[int, str] = {}
    for lock in snapshot.locks:
        if not lock.granted or lock.advisory or (lock.pid, lock.gid) != (pid, gid):
            continue
        relation = snapshot.by_oid.get(lock.relation or 0)
        if relation is not None and relation.kind in "rp" and conflicts(WRITES, lock.mode):
            known = found.get(relation.oid, lock.mode)
            found[relation.oid] = max(known, lock.mode, key=strength)
    return found


def written_by(snapshot: Snapshot, prepared: Prepared) -> list[int]:
    """Tables (not views) on which a prepared transaction holds a writer's lock or a stronger one."""
    return sorted(
        oid
        for oid, modes in held_by(snapshot, prepared.gid).items()
        if snapshot.by_oid[oid].kind in "rp" and modes & set(_ORDER[2:])
    )
