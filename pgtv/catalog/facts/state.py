"""Facts that pgtv itself wrote down. See pgtv.catalog.model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verification:
    """The last verification of a TVIEW that the schema `pgtv` or a state file recorded.

    brought_at: since when the rows that differed then are right, as a merge recorded. records: how many
    there are of this TVIEW.
    """

    table_name: str
    verified_at: str
    age_seconds: float
    differing: int
    rows: int | None = None
    table_oid: int | None = None
    brought_at: str | None = None
    records: int = 0


@dataclass(frozen=True)
class LeasedTrigger:
    """A trigger that a lease holds, and its state of before (pg_trigger.tgenabled)."""

    entity: str
    relation: int
    relation_name: str  # qualified and quoted, as it was then
    trigger: int
    name: str
    enabled: str


@dataclass(frozen=True)
class Lease:
    """Triggers that `pgtv triggers disable` disabled for a time, or rows that are owed since.

    Of this database only: leases that a restored copy brought along are left out, and so are those
    that ended. remaining_seconds: until it should end, negative when overdue.
    """

    id: int
    taken_at: str
    until: str
    remaining_seconds: float
    reason: str
    taken_by: str
    entities: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()  # entities whose rows missed writes and were not brought yet
    enabled_at: str | None = None
    enabled_by: str | None = None
    triggers: tuple[LeasedTrigger, ...] = ()
