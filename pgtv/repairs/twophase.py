"""Prepared transactions: what each holds, who waits for it, and which of them a cleanup may roll back.

Pure functions of snapshots, one of each database that has prepared transactions. Nothing here ends
one: see pgtv.resolving.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pgtv.catalog.dialects.base import literal
from pgtv.catalog.model import Prepared, Snapshot
from pgtv.catalog.waits import Wait, held_by, root_blockers, strength, waits, written_by
from pgtv.checks.coordinators import coordinator, recovers_by_itself
from pgtv.finding import Severity
from pgtv.graph.edges import edges
from pgtv.pasted import pasteable
from pgtv.rows.prepared import Keys, tables_of_tviews, value_locks

ORPHAN = 3600.0  # seconds: as the check prepared-orphan
# seconds: a coordinator that runs goes from its first phase to its second within these
DECIDING = 60.0
_WRITER = strength("RowExclusiveLock")


@dataclass(frozen=True)
class Held:
    """A table on which a prepared transaction holds locks. tview: a TVIEW's; None: none touches it."""

    relation: str
    mode: str  # the strongest, as pg_locks spells it
    written: bool
    tview: bool | None


@dataclass(frozen=True)
class Waiting:
    """A session that waits for the transaction, itself or behind others."""

    pid: int
    seconds: float
    mode: str
    user: str | None
    application: str | None
    query: str | None


@dataclass(frozen=True)
class Transaction:
    """One prepared transaction, and what a person has to know to decide about it.

    looked: whether its database was looked into; else `reason`, and what follows is not known.
    tviews: those that its writes reach, dependents included. exclusive: TVIEWs and tables read by
    them that nobody can read or write meanwhile, because it was prepared while triggers were
    suspended, or refreshed, truncated or altered them.
    oldest: nothing that was seen holds vacuum back further. recovers: its coordinator finishes
    without help, when it runs. keys: None where rows were not looked for.
    """

    gid: str
    database: str
    owner: str
    prepared_at: str
    age_seconds: float
    xid: str
    xid_age: int
    oldest: bool
    coordinator: str | None
    recovers: bool
    commit: str
    rollback: str
    looked: bool = True
    reason: str | None = None
    holds: tuple[Held, ...] = ()
    tviews: tuple[str, ...] = ()
    unlogged: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    locked_values: int = 0
    keys: tuple[Keys, ...] | None = None
    severity: str = "info"

    @property
    def touches_tviews(self) -> bool:
        """Whether it holds anything on TVIEWs or on tables that they read."""
        return any(h.tview is not None for h in self.holds)


@dataclass(frozen=True)
class Left:
    """A prepared transaction that a cleanup does not touch, and why; unseen: it might have been one."""

    gid: str
    database: str
    why: str
    unseen: bool = False


def describe(
    prepared: Iterable[Prepared], looked: Mapping[str, Snapshot], unseen: Mapping[str, str]
) -> list[Transaction]:
    """Every prepared transaction of the cluster, oldest first.

    looked: snapshots by database. unseen: why the others could not be looked into.
    """
    behind = {name: _behind(snapshot) for name, snapshot in looked.items()}
    horizon = max((_horizon(s) for s in looked.values()), default=0)
    found = []
    for one in sorted(prepared, key=lambda p: (-p.age_seconds, p.gid)):
        gid = pasteable(literal(one.gid).strip())
        transaction = Transaction(
            one.gid, one.database, one.owner, one.prepared_at, one.age_seconds, one.xid,
            one.xid_age, one.xid_age >= horizon, coordinator(one.gid), recovers_by_itself(one.gid),
            commit=f"COMMIT PREPARED {gid};", rollback=f"ROLLBACK PREPARED {gid};",
        )  # fmt: skip
        snapshot = looked.get(one.database)
        gap = snapshot and (snapshot.gap("locks") or snapshot.gap("relations"))
        if snapshot is None or gap:
            why = gap.reason if gap else unseen.get(one.database, "it is in another database")
            found.append(replace(transaction, looked=False, reason=why))
        else:
            found.append(_known(transaction, snapshot, one, behind[one.database]))
    return [replace(t, severity=severity(t).value) for t in found]


def named(transactions: Iterable[Transaction], name: str) -> Transaction | None:
    """By gid, or by `xid:NUMBER` for a gid that cannot be typed."""
    known = list(transactions)
    by_gid = next((t for t in known if t.gid == name), None)
    return by_gid or next((t for t in known if name == f"xid:{t.xid}"), None)


def _known(
    transaction: Transaction, snapshot: Snapshot, one: Prepared, behind: Mapping[str, list[Wait]]
) -> Transaction:
    held = held_by(snapshot, one.gid)
    reached = edges(snapshot).affected(written_by(snapshot, one))
    read = tables_of_tviews(snapshot)
    return replace(
        transaction,
        holds=tuple(_holds(snapshot, one.gid, held, read)),
        tviews=tuple(t.label for t in reached),
        unlogged=tuple(
            t.label
            for t in reached
            if (table := snapshot.by_oid.get(t.table_oid)) and table.persistence == "u"
        ),
        exclusive=tuple(
            snapshot.name_of(o)
            for o, modes in sorted(held.items())
            if "AccessExclusiveLock" in modes and o in read and snapshot.by_oid[o].kind in "rpm"
        ),
        waiting=tuple(_waiting(behind.get(one.gid, ()))),
        locked_values=len(value_locks(snapshot.locks, one.gid)),
    )


def _holds(
    snapshot: Snapshot, gid: str, held: Mapping[int, set[str]], read: set[int]
) -> Iterator[Held]:
    """Tables of TVIEWs and those that they read first; of others what is held only to read is left out."""
    for oid, modes in sorted(held.items(), key=lambda x: snapshot.name_of(x[0])):
        relation = snapshot.by_oid[oid]
        if relation.kind in "rpmf" and oid in read:
            mode = max(modes, key=strength)
            tview = oid in snapshot.tview_by_table
            yield Held(relation.qualified, mode, strength(mode) >= _WRITER, tview)
    others: dict[str, set[str]] = {
        snapshot.by_oid[o].qualified: m
        for o, m in held.items()
        if o not in read and snapshot.by_oid[o].kind in "rpmf"
    }
    for lock in snapshot.locks:
        if lock.gid == gid and lock.granted and lock.name is not None:
            others.setdefault(lock.name, set()).add(lock.mode)
    for name, modes in sorted(others.items()):
        mode = max(modes, key=strength)
        if mode != "AccessShareLock":
            yield Held(name, mode, strength(mode) >= _WRITER, None)


def _behind(snapshot: Snapshot) -> dict[str, list[Wait]]:
    """The waits behind each gid, itself or behind others in the queue; longest first."""
    queued = waits(snapshot, everywhere=True)
    found: dict[str, list[Wait]] = {}
    for wait in queued:
        for gid in root_blockers(queued, wait)[1]:
            found.setdefault(gid, []).append(wait)
    return found


def _waiting(queue: Iterable[Wait]) -> Iterator[Waiting]:
    for wait in queue:
        session = wait.session
        yield Waiting(
            wait.pid, round(wait.seconds, 1), wait.mode,
            session.user if session else None,
            session.application if session else None,
            session.query if session else None,
        )  # fmt: skip


def _horizon(snapshot: Snapshot) -> int:
    """Age in transactions of the oldest that was seen to hold vacuum back."""
    ages = [p.xid_age for p in snapshot.prepared]
    ages += [s.xmin_age or 0 for s in snapshot.sessions] + [s.xmin_age or 0 for s in snapshot.slots]
    return max(ages, default=0)


def severity(one: Transaction, orphan: float = ORPHAN, wait: float = 1.0) -> Severity:
    """As the checks of the group twophase judge it: waiters and blocked readers are critical."""
    if one.exclusive or any(w.seconds >= wait for w in one.waiting):
        return Severity.CRITICAL
    if not one.looked:
        return Severity.UNKNOWN
    return Severity.WARNING if one.age_seconds >= orphan or one.unlogged else Severity.INFO


def choose(
    transactions: Iterable[Transaction], older_than: float, *, everything: bool = False
) -> tuple[list[Transaction], list[Left]]:
    """What a cleanup rolls back, and what it leaves with the reason.

    Left are: younger ones than `older_than` seconds; those of a coordinator that finishes its
    transactions by itself; those whose locks could not be seen; and, without `everything`, those that
    touch no TVIEW and no table that one reads: pgtv cannot repair what they were about.
    """
    chosen, left = [], []
    for one in transactions:
        why = _why_left(one, older_than, everything)
        if why:
            old = one.age_seconds >= older_than and not one.recovers
            left.append(Left(one.gid, one.database, why, old and not one.looked))
        else:
            chosen.append(one)
    return chosen, left


def _why_left(one: Transaction, older_than: float, everything: bool) -> str | None:
    if one.age_seconds < older_than:
        return "younger than the limit"
    if one.recovers:
        return f"{one.coordinator}: resolve it by name if that one is gone for good"
    if not one.looked:
        return f"could not be looked into: {one.reason}"
    if not one.touches_tviews and not everything:
        return "touches no TVIEW and no table that one reads (--all takes these too)"
    return None
