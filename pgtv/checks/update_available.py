"""A newer version of the extension lies on this server than is installed in this database.

Meaning:
    The control file would install a later version than the database has.

Impact:
    None by itself. Where the library is newer as well, library-mismatch tells whether writes fail.

Diagnosis:
    pg_available_extensions against pg_extension.

Mitigation:
    Rehearse the update on a copy, then run ALTER EXTENSION … UPDATE in each database.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.versions import newer, update, updates_in_place
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    extension = context.snapshot.extension
    if not newer(extension.default_version, extension.version):
        return
    yield context.finding(
        f"(extension {EXTENSION})",
        f"{extension.default_version} is on this server, {extension.version} in this database.",
        evidence=[{"installed": extension.version, "available": extension.default_version}],
        remedy=update(
            context, "It re-registers TVIEWs where needed. There is no way back but a backup."
        )
        if context.dialect.acts or updates_in_place(extension.version)
        else Remedy(note="This release cannot be updated in place: see the upgrade guide."),
    )


CHECK = Check(
    id="update-available",
    title="An update of the extension is available",
    group="installation",
    severity=Severity.INFO,
    effect=Effect.NONE,
    run=run,
    needs=("extension",),
    consequence_of=("library-mismatch",),
    provoke=Provoke(
        elsewhere="test/integration/checks/test_installation.py::test_new_library_old_sql"
    ),
)
