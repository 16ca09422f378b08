"""The disk of the data directory fills up.

Meaning:
    Little is left on the file system that holds the data directory.

Impact:
    Writes fail with 53100 and are rolled back; when pg_wal has no room the server stops (PANIC) until
    there is some again. A blocking refresh needs as much as the TVIEW and its WAL in one transaction.

Diagnosis:
    SQL cannot tell. It is known only when pgtv runs on the server's host and connects by its Unix
    socket, as a member of pg_monitor or pg_read_all_settings; tablespaces and a pg_wal elsewhere are
    not seen. Which TVIEW grows, and when the disk is full if it goes on like that, two snapshots tell:
    `pgtv snapshot diff BEFORE`.

Mitigation:
    Make room: old logs, orphaned slots (they keep WAL), bloat. Never delete files in pg_wal.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, NotApplicable, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    growth = context.snapshot.growth
    if growth is None or not growth.data_total_bytes or growth.data_free_bytes is None:
        raise NotApplicable("seen only on the server's host, through its Unix socket")
    used = 1 - growth.data_free_bytes / growth.data_total_bytes
    severity = context.level(used)
    if severity is None:
        return
    biggest = sorted(
        (r for r in context.snapshot.relations if r.oid in context.snapshot.tview_by_table),
        key=lambda r: -r.relpages,
    )[:3]
    yield context.finding(
        "(server)",
        f"The file system of the data directory is {used:.0%} full; "
        f"{growth.data_free_bytes / 2**30:,.1f} GiB are left.",
        severity=severity,
        evidence=[{"TVIEW": r.qualified, "MiB": r.relpages * 8 // 1024} for r in biggest],
        remedy=Remedy(
            sql=(
                "SELECT slot_name, active, wal_status, pg_size_pretty(pg_wal_lsn_diff("
                "pg_current_wal_lsn(), restart_lsn)) AS kept FROM pg_replication_slots;",
            ),
            role="pg_monitor",
            note="What slots keep is the first thing to look at.",
        ),
    )


CHECK = Check(
    id="room",
    title="The disk fills up",
    group="activity",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("server", "room"),
    extension=False,
    thresholds={
        "warning": Threshold(0.80, "of the file system", "common practice of operators"),
        "critical": Threshold(0.85, "of the file system", "below it autovacuum may need the room"),
    },
    provoke=Provoke(
        elsewhere="test/integration/checks/test_activity.py::test_room_left_is_that_of_the_file_system"
    ),
)
