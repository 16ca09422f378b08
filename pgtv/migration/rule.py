"""What one kind of statement does in one situation, as data."""

from __future__ import annotations

from dataclasses import dataclass

from pgtv.migration.model import Mode, What


@dataclass(frozen=True)
class Rule:
    """id: statement/situation.

    lock: on the relation it names; parts: on each of its partitions too. other: on the second
    relation (what a foreign key refers to, a partition). rewrites: writes the table's file anew;
    scans: reads all of it under the lock. what, says, sqlstate: its effect. fix: for the safer order.
    """

    id: str
    lock: Mode | None = None
    parts: bool = False
    other: Mode | None = None
    rewrites: bool = False
    scans: bool = False
    what: What | None = None
    sqlstate: str | None = None
    says: str = ""
    fix: str = ""
