"""Tables or views of the extension's own catalog are not there.

Meaning:
    The extension is installed, and some of its tables or views were dropped or renamed.

Impact:
    Writes that need a missing table fail (SQLSTATE 42P01); tools that read a missing view see nothing.

Diagnosis:
    The names that this generation of the catalog has are looked up in the extension's schema.

Mitigation:
    Nothing recreates single objects of an extension. Restore the database's catalog from a backup, or
    save what can be saved (pgtv snapshot save), drop the extension with CASCADE, which keeps the
    tables of TVIEWs, create it, and register each TVIEW again.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.bindings import GENERATIONS
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    extension = context.snapshot.extension
    if not extension.tables_missing:
        return
    names = ", ".join(extension.tables_missing)
    # the views only serve tools
    fails = bool({*extension.tables_missing} & {*context.dialect.protected_tables})
    yield context.finding(
        f"(extension {EXTENSION})",
        f"Missing from schema {context.extschema}: {names}. "
        + ("Writes that need it fail." if fails else "Writes go on."),
        severity=Severity.CRITICAL if fails else Severity.WARNING,
        effect=Effect.WRITES_FAIL if fails else Effect.RISK,
        affects=tuple(t.label for t in context.snapshot.tviews) if fails else (),
        evidence=[{"missing": name} for name in extension.tables_missing],
        remedy=Remedy(
            command="pgtv snapshot save",
            note=f"Save what is left first. Then DROP EXTENSION {EXTENSION} CASCADE (the tables of "
            "TVIEWs stay), CREATE EXTENSION, and register each TVIEW from the saved snapshot.",
        ),
    )


CHECK = Check(
    id="catalog-objects-missing",
    title="Objects of the extension's catalog are missing",
    group="installation",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("extension", "catalog_objects"),
    generations=GENERATIONS,
    provoke=Provoke(
        break_=f"ALTER EXTENSION {EXTENSION} DROP VIEW tviews.stats; DROP VIEW tviews.stats;",
        object=f"(extension {EXTENSION})",
    ),
)
