"""A replication slot keeps WAL, is about to lose it, or has lost it.

Meaning:
    Nobody reads from the slot, or too slowly. The server keeps every segment since, up to
    max_slot_wal_keep_size; beyond that the next checkpoint removes them (WAL status unreserved), and
    then the slot is lost.

Impact:
    pg_wal fills the disk; when it is full the server stops. A logical slot also holds vacuum of the
    catalogs back. A lost slot's consumer has to be built anew.

Diagnosis:
    pg_replication_slots: active, wal_status, restart_lsn.

Mitigation:
    Start its consumer; drop the slot only when nobody will come back for it. Where it is unreserved,
    raise max_slot_wal_keep_size before the next checkpoint and let the consumer catch up.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import literal
from pgtv.catalog.model import Slot
from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity

LIMIT = "max_slot_wal_keep_size"
_MIB = 2**20


def run(context: Context) -> Iterator[Finding]:
    for slot in context.snapshot.slots:
        kept = slot.retained_bytes or 0
        if slot.wal_status == "lost":
            detail, remedy = "Its WAL is gone: its consumer must be built anew.", _drop(slot)
        elif slot.wal_status == "unreserved":
            detail = (
                f"It needs {kept / _MIB:,.0f} MiB of WAL, more than {LIMIT} keeps: the next checkpoint "
                "may remove them, and then the slot is lost."
            )
            remedy = _keep(context, kept)
        elif not slot.active and kept >= context.threshold("bytes"):
            detail = f"Nobody reads from it and it keeps {kept / _MIB:,.0f} MiB of WAL."
            remedy = _drop(slot)
        else:
            continue
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
            remedy=remedy,
        )


def _drop(slot: Slot) -> Remedy:
    return Remedy(
        sql=(
            "-- only when nobody will come back for it:",
            f"SELECT pg_drop_replication_slot({literal(slot.name).strip()});",
        ),
        role="a role with REPLICATION, or a superuser",
        undo=None,
        decide="Its consumer, should it come back, has to start anew.",
        note="A dropped slot cannot be brought back: its consumer starts anew.",
    )


def _keep(context: Context, kept: int) -> Remedy:
    """Room for twice what is kept by now; it counts before the next checkpoint."""
    wait = "Let its consumer catch up: once it reads on, the slot is reserved again."
    value = context.snapshot.setting.get(LIMIT)
    if value is None or not value.isdecimal():  # -1: no limit, so raising it cures nothing
        return Remedy(note=wait)
    source = next((s.source for s in context.snapshot.settings if s.name == LIMIT), None)
    before = "RESET {}" if source == "default" else "SET {} = " + f"'{value}MB'"
    return Remedy(
        sql=(
            f"ALTER SYSTEM SET {LIMIT} = '{2 * max(int(value), kept // _MIB + 1)}MB';",
            "SELECT pg_reload_conf();",
        ),
        role="superuser",
        undo=f"ALTER SYSTEM {before.format(LIMIT)};\nSELECT pg_reload_conf();",
        decide="pg_wal may then grow by as much for every slot; a full disk stops the server.",
        note=wait,
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
