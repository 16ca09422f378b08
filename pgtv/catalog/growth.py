"""How TVIEWs grew between two snapshots of one database, and when a disk would be full.

A straight line through two moments: what was refreshed or vacuumed in between, or grows by night only, it
knows nothing of. So there is no rate between moments less than an hour apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgtv.catalog.model import Relation, Snapshot

SHORTEST = 1 / 24  # days


@dataclass(frozen=True)
class Grown:
    """One TVIEW. bytes: table, TOAST and indexes; rows: the planner's estimates. None: not seen."""

    name: str
    bytes_before: int | None
    bytes_after: int | None
    bytes_per_day: float | None
    rows_before: int | None
    rows_after: int | None
    rows_per_day: float | None

    @property
    def more(self) -> int:
        return (self.bytes_after or 0) - (self.bytes_before or 0)

    @property
    def same(self) -> bool:
        return (self.bytes_before, self.rows_before) == (self.bytes_after, self.rows_after)


@dataclass(frozen=True)
class Room:
    """What is left, and what takes it.

    source: `file system` (of the data directory, as the later snapshot saw it) or `given`. fills: `disk`,
    all that was written to that file system, where both snapshots saw it; else the `TVIEWs` alone.
    days_left: None where nothing fills it.
    """

    bytes: int
    source: str
    fills: str
    bytes_per_day: float
    days_left: float | None


@dataclass(frozen=True)
class Growth:
    """tviews: those that both snapshots hold, by name. no_rate: why nothing is said per day."""

    days: float
    no_rate: str | None
    tviews: tuple[Grown, ...]
    bytes_per_day: float | None
    room: Room | None = None

    @property
    def grown(self) -> list[Grown]:
        """Those that changed, the one that grew most first."""
        return sorted((g for g in self.tviews if not g.same), key=lambda g: (-g.more, g.name))


def growth(before: Snapshot, after: Snapshot, given: int | None = None) -> Growth | None:
    """given: bytes that are left, by somebody's word. None where the two are not of one database."""
    if not _one_database(before, after):
        return None
    days = (
        datetime.fromisoformat(after.taken_at) - datetime.fromisoformat(before.taken_at)
    ).total_seconds() / 86400
    no_rate = None
    if days < 0:
        no_rate = "the first snapshot is the later one"
    elif days < SHORTEST:
        no_rate = "they are less than an hour apart"
    old = {t.label: before.by_oid.get(t.table_oid) for t in before.tviews}
    new = {t.label: after.by_oid.get(t.table_oid) for t in after.tviews}
    tviews = tuple(
        _grown(name, old[name], new[name], None if no_rate else days)
        for name in sorted(old.keys() & new.keys())
    )
    if no_rate:
        return Growth(days, no_rate, tviews, None)
    rate = sum(g.bytes_per_day or 0 for g in tviews)
    return Growth(days, None, tviews, rate, _room(before, after, given, days, rate))


def _one_database(before: Snapshot, after: Snapshot) -> bool:
    old, new = before.server, after.server
    return old.database == new.database and new.is_database(old.system_identifier, old.database_oid)


def _grown(name: str, before: Relation | None, after: Relation | None, days: float | None) -> Grown:
    # files of earlier releases lack the rest: then it is left out of both
    whole = all(r is not None and r.more_bytes is not None for r in (before, after))
    sizes, rows = (_size(before, whole), _size(after, whole)), (_rows(before), _rows(after))
    return Grown(name, *sizes, _per_day(*sizes, days), *rows, _per_day(*rows, days))


def _size(relation: Relation | None, whole: bool) -> int | None:
    if relation is None or relation.bytes is None:
        return None
    return relation.bytes + ((relation.more_bytes or 0) if whole else 0)


def _rows(relation: Relation | None) -> int | None:
    return None if relation is None or relation.reltuples < 0 else round(relation.reltuples)


def _per_day(before: int | None, after: int | None, days: float | None) -> float | None:
    if days is None or before is None or after is None:
        return None
    return (after - before) / days


def _room(
    before: Snapshot, after: Snapshot, given: int | None, days: float, tviews: float
) -> Room | None:
    old = before.growth.data_free_bytes if before.growth else None
    new = after.growth.data_free_bytes if after.growth else None
    left = given if given is not None else new
    if left is None:
        return None
    whole = old is not None and new is not None
    rate = (old - new) / days if old is not None and new is not None else tviews
    return Room(
        left, "given" if given is not None else "file system", "disk" if whole else "TVIEWs",
        rate, left / rate if rate > 0 else None,
    )  # fmt: skip
