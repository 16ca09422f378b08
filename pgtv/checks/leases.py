"""What leases hold: triggers that `pgtv triggers disable` disabled, matched with those of a snapshot."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pgtv.catalog.model import Lease, LeasedTrigger, Snapshot, Trigger
from pgtv.checks.resolving import age
from pgtv.finding import Severity


@dataclass(frozen=True)
class Held:
    """A trigger as it is now, the lease that holds it, and its state of before."""

    trigger: Trigger
    lease: Lease
    record: LeasedTrigger

    @property
    def off(self) -> bool:
        """Whether the lease is why it does not fire."""
        return self.trigger.enabled == "D" and self.record.enabled != "D"


def held(snapshot: Snapshot) -> dict[int, Held]:
    """By OID, the triggers that leases hold and that are still there.

    A partition that was attached meanwhile has copies that no lease recorded: PostgreSQL made them
    in the state that the root's trigger had then, so they go with the root's.
    """
    by_oid = {t.oid: t for t in snapshot.triggers}
    by_name = {(t.relation, t.name): t for t in snapshot.triggers if t.kind}
    found: dict[int, Held] = {}
    for lease in snapshot.leases:
        for record in lease.triggers:
            # by name: made anew by an update of the extension
            trigger = by_oid.get(record.trigger) or by_name.get((record.relation, record.name))
            if trigger and trigger.kind:
                found[trigger.oid] = Held(trigger, lease, record)
    copies: dict[int, list[Trigger]] = {}
    for trigger in snapshot.triggers:
        if trigger.parent is not None:
            copies.setdefault(trigger.parent, []).append(trigger)
    pending = list(found.values())
    while pending:
        root = pending.pop()
        for copy in copies.get(root.trigger.oid, ()):
            if copy.oid not in found:
                record = replace(
                    root.record, relation=copy.relation, trigger=copy.oid, name=copy.name,
                    relation_name=snapshot.name_of(copy.relation),
                )  # fmt: skip
                found[copy.oid] = Held(copy, root.lease, record)
                pending.append(found[copy.oid])
    return found


def severity(lease: Lease) -> Severity:
    """Of a lease that holds triggers: a warning while it runs, critical when it is overdue."""
    return Severity.WARNING if lease.remaining_seconds >= 0 else Severity.CRITICAL


def remaining(lease: Lease) -> str:
    """`9 min left`, or `overdue by 5 min`."""
    if lease.remaining_seconds < 0:
        return f"overdue by {age(-lease.remaining_seconds)}"
    return f"{age(lease.remaining_seconds)} left"


def moment(timestamp: str) -> str:
    """A timestamp without its fraction of a second."""
    return re.sub(r"\.\d+", "", timestamp)


def finding_id(lease: Lease) -> str:
    """The id of the finding that tells of this lease."""
    return f"trigger-lease:lease {lease.id}"


def labels(snapshot: Snapshot, entities: tuple[str, ...]) -> tuple[str, ...]:
    """TVIEWs by their names; one that is no longer registered by its entity."""
    known = snapshot.tview_by_entity
    return tuple(known[e].label if e in known else e for e in entities)
