"""Tables, views or trigger functions of the extension's own are not there.

Meaning:
    The extension is installed, and some of its tables, views or trigger functions were dropped or
    renamed.

Impact:
    Writes that need a missing table fail (SQLSTATE 42P01); tools that read a missing view see nothing.
    With a trigger function its triggers went: writes do not reach TVIEWs, or fail with 55000.

Diagnosis:
    The names that this generation of the catalog has are looked up in the extension's schema.

Mitigation:
    A trigger function is made again from the library, and re-registering makes its triggers. Nothing
    recreates a single table or view of an extension. Restore the database's catalog from a backup, or
    save what can be saved (pgtv snapshot save), drop the extension with CASCADE, which keeps the
    tables of TVIEWs, create it, and register each TVIEW again.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION, ident
from pgtv.checks.bindings import GENERATIONS, TIMEOUT, argument, upstream_first
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import missing_triggers
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    extension = context.snapshot.extension
    if not extension.tables_missing:
        return
    if all(name.endswith("()") for name in extension.tables_missing):
        yield _functions(context, [n.removesuffix("()") for n in extension.tables_missing])
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


def _functions(context: Context, names: list[str]) -> Finding:
    snapshot, dialect, schema = context.snapshot, context.dialect, context.extschema
    tviews = upstream_first(context, snapshot.tviews)
    rows = bring(context, tviews)
    tables = sorted({e.relation.qualified for e in missing_triggers(context)})
    return context.finding(
        f"(extension {EXTENSION})",
        f"Missing from schema {schema}: the trigger functions {', '.join(names)}. Triggers that called "
        "them went with them.",
        effect=Effect.WRITES_FAIL
        if "flush" in {dialect.trigger_functions[n] for n in names}
        else Effect.ROWS_WRONG,
        affects=tuple(t.label for t in tviews),
        evidence=[{"missing": name} for name in names],
        remedy=Remedy(
            sql=(
                TIMEOUT,
                "BEGIN;",
                *(dialect.restore_trigger_function(schema, name) for name in names),
                *(
                    f"ALTER EXTENSION {EXTENSION} ADD FUNCTION {ident(schema)}.{ident(name)}();"
                    for name in names
                ),
                *(dialect.reregister(argument(t)) for t in tviews),
                "COMMIT;",
                *rows.sql,
            ),
            role="a superuser",
            locks=(*(f"SHARE ROW EXCLUSIVE on {t}" for t in tables), *rows.locks),
            note=rows.note,
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
