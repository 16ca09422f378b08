"""Rehearses the restore of a base backup, as far as the server has recovered."""

from __future__ import annotations

from pgtv.catalog.dialects.base import EXTENSION, ident
from pgtv.errors import ClusterError, NotPossible, UsageError
from pgtv.finding import Severity
from pgtv.lifecycle.restore import place as restore_place
from pgtv.lifecycle.restore import server as restore_server
from pgtv.lifecycle.restore.stage import Run
from pgtv.lifecycle.upgrade.rehearsal_server import databases
from pgtv.lifecycle.verdict import Point


def restore(run: Run) -> bool:
    """A server on a copy of the base backup, recovered; whether that went well."""
    backup, server, seen, wish = run.backup, run.server, run.seen, run.wish
    with run.phase("unpack"):
        restore_place.unpack(backup, server)
    with run.phase("check files", counts=False) as said:
        try:
            wrong = restore_place.check_files(server)
            seen.files_checked = wrong is None
            said.append(wrong or "as its manifest says")
            if wrong:
                run.fatal("files-damaged", f"Files are not as they were written: {wrong}")
        except NotPossible as e:
            said.append("no manifest")
            seen.points.append(
                Point(
                    "no-manifest",
                    Severity.INFO,
                    f"{e.message[0].upper()}{e.message[1:]}.",
                    cure=(e.hint or "",),
                )
            )
    with run.phase("recover") as said:
        found = restore_place.control(server)
        if why := restore_place.unsafe(backup, found):
            run.fatal(
                "label-missing",
                f"{why[0].upper()}{why[1:]}",
                "take base backups with pg_basebackup or a backup tool",
            )
        restore_place.disconnect(server, found, server.settings)
        restore_place.recover_from(server, wish.archive, wish.until)
        try:
            restore_server.start(server, run.say)
        except ClusterError as e:
            reason = restore_server.why_not(server.log_text())
            said.append(f"FAILED: {reason}")
            if e.hint:
                raise
            run.fatal(
                "recovery-failed", f"It does not recover: {reason}", *_recovery_hint(run, reason)
            )
            return False
        _recovered(run)
        run.database = _database(run)
        said.append(f"database {run.database}, recovered to {run.recovered_to}")
    if run.before:
        mine, its = found.system_identifier, run.before.server.system_identifier
        if its and its != mine:
            raise UsageError(f"{run.before_path} is a snapshot of another cluster")
        seen.wanted = tuple(t.label for t in run.before.tviews)
    _collations(run)
    return True


def _recovery_hint(run: Run, reason: str) -> tuple[str, ...]:
    if "recovery target" in reason:
        return ("the archive ends before --target-time: name an earlier one",)
    if run.wish.archive is None:
        return ("WAL may be missing: --archive DIR names the folder that WAL was archived to",)
    return ()


def _recovered(run: Run) -> None:
    with run.server.connect() as connection:
        row = connection.execute(
            "SELECT pg_catalog.pg_last_xact_replay_timestamp(),"
            " pg_catalog.pg_current_wal_lsn()::text,"
            " (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())"
        ).fetchone()
    assert row is not None
    run.recovered_to = f"{row[1]}, timeline {row[2]}"
    if row[0] is not None and (run.data_from is None or row[0] > run.data_from):
        run.data_from, run.data_from_by = row[0], "the last commit that was replayed"


def _database(run: Run) -> str:
    found = databases(run.server)
    wanted = run.wish.database or (run.before.server.database if run.before else None)
    if wanted:
        if wanted not in found and not run.before:
            raise UsageError(
                f"no database {wanted!r} with {EXTENSION} is in the backup",
                f"it has: {', '.join(found)}" if found else "none in it has the extension",
            )
        return wanted
    if len(found) == 1:
        return found[0]
    raise UsageError(
        f"{len(found)} databases of the backup have {EXTENSION}"
        + (f": {', '.join(found)}" if found else ""),
        "name the one to prove: --database DB" if found else "there is nothing to prove",
    )


def _collations(run: Run) -> None:
    """Indexes on text that another version of the collation sorted are silently wrong here."""
    with run.server.connect(run.database) as connection:
        row = connection.execute(
            "SELECT datcollversion, pg_catalog.pg_database_collation_actual_version(oid)"
            " FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
        ).fetchone()
    if row and row[0] != row[1]:
        run.seen.points.append(
            Point(
                "collation-version", Severity.WARNING,
                f"The source sorted text by version {row[0]} of its collation, this machine by {row[1]}:"
                " indexes on text may be wrong on such a machine until they are built anew.",
                cure=(f"REINDEX DATABASE {ident(run.database)};",
                      f"ALTER DATABASE {ident(run.database)} REFRESH COLLATION VERSION;"),
            )
        )  # fmt: skip
