"""Rehearses the restore of a dump, as far as the database is there and analyzed."""

from __future__ import annotations

from pgtv.finding import Severity
from pgtv.lifecycle.restore import load as restore_load
from pgtv.lifecycle.restore import preflight as preflight_dump
from pgtv.lifecycle.restore.stage import Run
from pgtv.lifecycle.upgrade.rehearsal_server import make_roles
from pgtv.lifecycle.verdict import Point

_FOR_GOOD = ("base-rows-absent", "schema-absent", "post-data-absent")


def restore(run: Run) -> bool:
    """A fresh server, and the dump in it; whether that went well."""
    backup, server, seen = run.backup, run.server, run.seen
    assert backup.contents is not None
    verdict = preflight_dump.judge(
        backup.contents, str(backup.path), run.before,
        str(run.before_path) if run.before_path else None, restore_load.DATABASE,
    )  # fmt: skip
    run.commands = verdict.commands
    # what no cure brings back; the rest is seen in what was restored
    seen.points += [p for p in verdict.points if p.id in _FOR_GOOD]
    run.breaks = any(p.id == "catalog-fails" for p in verdict.points)
    with run.phase("start") as said:
        server.init().start()
        said.append(f"an empty server, PostgreSQL {server.major}")
    with run.phase("restore") as said:
        _cluster_wide(run)
        if why := restore_load.create(backup, server):
            seen.points.append(
                Point(
                    "collation",
                    Severity.INFO,
                    f"The database has not the source's collation: {why}.",
                )
            )
        loaded = restore_load.load(backup, server, breaks=run.breaks, jobs=run.wish.jobs)
        if loaded.error:
            said.append(f"FAILED: {loaded.error}")
            run.fatal("restore-failed", f"It does not restore: {loaded.error}", *run.commands)
            return False
        if loaded.ignored:
            said.append(f"{len(loaded.ignored)} errors")
            seen.points.append(
                Point(
                    "restore-errors", Severity.WARNING,
                    f"{len(loaded.ignored)} statements failed and were passed over; the first:"
                    f" {loaded.ignored[0]}",
                )
            )  # fmt: skip
    with run.phase("analyze"):
        server.psql("ANALYZE", restore_load.DATABASE)
    mine, its = backup.contents.database, run.before.server.database if run.before else None
    if mine and its and mine != its:
        seen.points.append(
            Point(
                "other-database", Severity.WARNING,
                f"The dump is of database {mine}, the snapshot that it is held against of {its}.",
            )
        )  # fmt: skip
    known = backup.contents.catalog
    if run.before:
        seen.wanted = tuple(t.label for t in run.before.tviews)
    elif known is not None:
        seen.wanted = tuple(one.label for one in known)
    return True


def _cluster_wide(run: Run) -> None:
    """Roles and tablespaces: from what was given, else made up, which the certificate says."""
    wish = run.wish
    super_ = {r.name for r in run.before.roles if r.superuser} if run.before else set()
    lacking = make_roles(run.server, run.backup, wish.roles, frozenset(super_))
    if wish.roles and lacking:
        run.fatal(
            "roles-missing",
            f"{wish.roles} lacks roles that the dump names: {', '.join(lacking)}.",
        )
    run.seen.invented = tuple(lacking)
