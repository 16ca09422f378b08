"""Archiving of WAL fails.

Meaning:
    archive_mode is on and the last attempt failed after the last success.

Impact:
    WAL piles up until the disk is full; then the server stops (PANIC) and TVIEWs with it. Point in
    time recovery ends at the last archived segment.

Diagnosis:
    pg_stat_archiver; the server's log has the command's own message.

Mitigation:
    Repair archive_command or its target; PostgreSQL retries by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, NotApplicable, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    archiver = context.snapshot.archiver
    if archiver is None or archiver.mode == "off":
        raise NotApplicable("archive_mode is off")
    if archiver.last_failed and (archiver.last_archived or "") < archiver.last_failed:
        yield context.finding(
            "(server)",
            f"The last attempt to archive failed at {archiver.last_failed}"
            + (
                f"; the last success was at {archiver.last_archived}."
                if archiver.last_archived
                else "; none has succeeded yet."
            ),
            evidence=[{"failed": archiver.failed, "archived": archiver.archived}],
            remedy=Remedy(
                sql=("SELECT * FROM pg_stat_archiver;", "SHOW archive_command;"),
                role="pg_read_all_settings",
                note="Look into the server's log for the command's message; nothing is lost while "
                "pg_wal has room.",
            ),
        )


CHECK = Check(
    id="archiving",
    title="WAL archiving fails",
    group="activity",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("archiver",),
    extension=False,
    # the fault archive-fails: a server whose archive_command fails
    provoke=Provoke(elsewhere="test/faults/test_matrix.py::test_fault"),
)
