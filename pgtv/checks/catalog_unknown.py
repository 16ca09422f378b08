"""pgtv does not know the catalog of this release of the extension, or only how to look at it.

Meaning:
    The extension's objects, or the version of its contract for tools, are not those of any generation
    that this pgtv was made for: a release after it, or one before.

Impact:
    None on data. Checks that need the catalog are not applicable or unknown, and repairs refuse to
    act.

Diagnosis:
    Tables and columns of the catalog are probed; version names are hints only.

Mitigation:
    Use a pgtv that knows the release. A release from beta.20 on is updated in place (rehearse it); up
    to beta.19, detach and attach carry its TVIEWs over to a current one.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.versions import updates_in_place
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    extension = context.snapshot.extension
    if context.dialect.acts:
        return
    known = extension.generation != "unknown"
    older = not known and updates_in_place(extension.version)
    yield context.finding(
        f"(extension {EXTENSION})",
        f"This is the catalog of an old release ({extension.generation}): pgtv looks, and repairs "
        "nothing."
        if known
        else f"{EXTENSION} {extension.version} has {'an older' if older else 'a'} catalog that this pgtv "
        "does not know: what is shown comes from PostgreSQL itself.",
        severity=Severity.INFO if known else Severity.UNKNOWN,
        evidence=[
            {
                "version": extension.version,
                "contract": extension.contract_version,
                "revision": extension.catalog_revision,
            }
        ],
        remedy=_remedy(context, known=known, older=older),
    )


def _remedy(context: Context, *, known: bool, older: bool) -> Remedy:
    extension = context.snapshot.extension
    if known:
        return Remedy(
            note="Releases up to 0.1.0-beta.19 cannot be updated in place: pgtv upgrade detach, and "
            "attach where a current one is installed, carry the TVIEWs over."
        )
    if not older:
        return Remedy(note=f"Look for a newer pgtv, or report the release {extension.version}.")
    statement = context.dialect.update_extension().removesuffix(";")
    return Remedy(
        note=f"{extension.version} is updated in place: install the package of a current release, restart, "
        f"{statement}; then pgtv knows the catalog. Rehearse it first: pgtv rehearse upgrade BACKUP "
        "--to-extension RELEASE"
    )


CHECK = Check(
    id="catalog-unknown",
    title="The catalog's generation is not known",
    group="installation",
    severity=Severity.UNKNOWN,
    effect=Effect.NONE,
    run=run,
    needs=("extension",),
    provoke=Provoke(
        elsewhere="test/integration/checks/test_installation.py::test_unknown_contract"
    ),
)
