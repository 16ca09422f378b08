"""A replication slot keeps WAL, or has lost it.

Meaning:
    Nobody reads from the slot, or too slowly. The server keeps every segment since, up to
    max_slot_wal_keep_size; beyond that the slot is lost.

Impact:
    pg_wal fills the disk; when it is full the server stops. A logical slot also holds vacuum of the
    catalogs back. A lost slot's consumer has to be built anew.

Diagnosis:
    pg_replication_slots: active, wal_status, restart_lsn.

Mitigation:
    Start its consumer; drop the slot only when nobody will come back for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import literal
from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for slot in context.snapshot.slots:
        kept = slot.retained_bytes or 0
        lost = slot.wal_status in ("lost", "unreserved")
        idle = not slot.active and kept >= context.threshold("bytes")
        if not lost and not idle:
            continue
        detail = (
            f"Its WAL status is {slot.wal_status}: its consumer must be built anew."
            if lost
            else f"Nobody reads from it and it keeps {kept / 2**20:,.0f} MiB of WAL."
        )
        yield context.finding(
            f"slot {slot.name}",
            detail,
            evidence=[
                {
                    "type": slot.type,
                    "active": slot.active,
                    "wal_status": slot.wal_status,
                    "retained_bytes": slot.retained_bytes,
                    "plugin": slot.plugin,
                }
            ],
            remedy=Remedy(
                sql=(
                    "-- only when nobody will come back for it:",
                    f"SELECT pg_drop_replication_slot({literal(slot.name).strip()});",
                ),
                role="REPLICATION",
                undo=None,
                decide="Its consumer, should it come back, has to start anew.",
                note="A dropped slot cannot be brought back: its consumer starts anew.",
            ),
        )


CHECK = Check(
    id="replication-slot",
    title="A replication slot keeps or lost WAL",
    group="activity",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("slots",),
    extension=False,
    thresholds={
        "bytes": Threshold(2**30, "bytes", "max_wal_size's default: kept anyway up to there")
    },
    provoke=Provoke(
        elsewhere="test/integration/checks/test_activity.py::test_a_slot_that_nobody_reads"
    ),
)
