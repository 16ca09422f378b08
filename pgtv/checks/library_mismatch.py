"""The library and the installed SQL objects of the extension are of different revisions.

Meaning:
    Each release's library insists on one revision of the extension's catalog. The library that the
    server loaded is of another release than the SQL objects in this database: a package was installed
    without `ALTER EXTENSION … UPDATE` (new library, old SQL), or an older package came back, on this
    server or on a standby that was promoted (old library, new SQL).

Impact:
    Every write to a base table of a TVIEW fails (SQLSTATE 55000, `library catalog revision … does not
    match the installed extension`). Nothing is lost: the writes are refused.

Diagnosis:
    The library tells its release, the catalog its revision; which revision a release insists on is
    known for the releases up to beta.34. For later ones different release names are a warning.

Mitigation:
    With the newer library, update the extension in each database. With the older library, install the
    package that matches the installed extension and restart: there is no way back for the SQL.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.versions import newer, required_revision, update
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    extension = context.snapshot.extension
    required, revision = required_revision(context), extension.catalog_revision
    if extension.library_version is None or revision is None:
        return
    if required == revision or (
        required is None and extension.library_version == extension.version
    ):
        return
    sure = required is not None
    standby = context.snapshot.server.in_recovery
    ahead = required > revision if sure and required else newer(
        extension.library_version, extension.version
    )  # fmt: skip
    yield context.finding(
        f"(extension {EXTENSION})",
        f"The library is {extension.library_version}"
        + (f" and needs catalog revision {required}" if sure else "")
        + f"; installed is {extension.version}, revision {revision}. "
        + (
            "Once this standby is promoted, every write to a base table of a TVIEW fails (55000)."
            if sure and standby
            else "Every write to a base table of a TVIEW fails (55000)."
            if sure
            else "If their revisions differ, every write to a base table of a TVIEW fails (55000)."
        ),
        severity=Severity.CRITICAL if sure else Severity.WARNING,
        effect=Effect.WRITES_FAIL if sure and not standby else Effect.RISK,
        affects=tuple(t.label for t in context.snapshot.tviews),
        evidence=[
            {"library": extension.library_version, "needs revision": required},
            {"installed": extension.version, "catalog revision": revision},
            {"control file": extension.default_version},
        ],
        remedy=_update(context) if ahead else _package(context),
    )


def _update(context: Context) -> Remedy:
    extension = context.snapshot.extension
    if extension.default_version == extension.version:
        return Remedy(
            note=f"The library is newer than the SQL files beside it: install the whole package of "
            f"{extension.library_version}, then run {context.dialect.update_extension()}"
        )
    return update(
        context,
        "In each database that has the extension. It re-registers TVIEWs, and leaves rows alone.",
    )


def _package(context: Context) -> Remedy:
    version = context.snapshot.extension.version
    return Remedy(
        note=f"The installed SQL is newer than the library: install the package of {version} on this "
        "server and restart PostgreSQL. An extension cannot be updated to an older version."
    )


CHECK = Check(
    id="library-mismatch",
    title="Library and installed extension are of different revisions",
    group="installation",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("catalog_revision",),
    generations=("current", "unknown"),
    provoke=Provoke(
        elsewhere="test/integration/checks/test_installation.py::test_new_library_old_sql"
    ),
)
