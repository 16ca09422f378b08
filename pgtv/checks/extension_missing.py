"""Tables of TVIEWs are here, the extension is not.

Meaning:
    The extension was dropped (DROP EXTENSION … CASCADE keeps the tables), or a dump was restored where
    it could not be created or only a schema of it was restored.

Impact:
    The tables look alive and are never updated again. Writes to base tables succeed, so nothing
    warns; reads give rows of the day when the extension went.

Diagnosis:
    Tables called tv_* with a unique pk_*, with the storage options that the extension sets, or beside
    the schema that it left. Plain tables with such a name are not reported.

Mitigation:
    With a saved snapshot of before, pgtv upgrade attach (or pgtv repair metadata --from) creates the
    extension and registers every TVIEW as it was; SQL files that define the TVIEWs serve as well. No
    row is rewritten, and what was written meanwhile is found and repaired. Without either, create the
    extension; registration-missing then says how each TVIEW whose backing view survived is registered.
    Where pgtv upgrade detach took the extension away, writes are refused until it is attached again.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.bindings import TIMEOUT, has_shape
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    extension = context.snapshot.extension
    if extension.installed:
        return
    tables = [
        r
        for r in context.snapshot.relations
        if r.kind == "r" and r.name.startswith("tv_") and has_shape(context, r, r.name[3:])
    ]
    if not tables:
        database = context.snapshot.server.database
        yield context.finding(
            f"(database {database})",
            f"{EXTENSION} is not installed in {database}, and nothing of it is left there: there is "
            "nothing to look at. A probe that points at the wrong database must not be green.",
            title="Nothing to look at",
            severity=Severity.UNKNOWN,
            effect=Effect.NONE,
            evidence=[{"database": database, "extension": "not installed"}],
            remedy=Remedy(
                note="Name another database with -d; where none has TVIEWs, --unknown-ok says that "
                "this is fine.",
            ),
        )
        return
    names = tuple(t.qualified for t in tables)
    available = extension.default_version is not None
    yield context.finding(
        f"(extension {EXTENSION})",
        f"{EXTENSION} is not installed, and {len(tables)} tables of TVIEWs are here: nothing keeps "
        "them up to date.",
        severity=Severity.CRITICAL if extension.schema_left else Severity.WARNING,
        affects=names,
        evidence=[
            {"table": t.qualified, "rows": int(t.reltuples), "options": ", ".join(t.options)}
            for t in tables
        ],
        remedy=Remedy(
            sql=(TIMEOUT, context.dialect.create_extension()) if available else (),
            role="superuser" if available else None,
            undo=f"DROP EXTENSION {EXTENSION};" if available else None,
            note=(
                "Then run doctor again: registration-missing shows how each TVIEW is registered. "
                if available
                else f"Install the package of {EXTENSION} on this server first. "
            )
            + "Definitions come from what is left of the backing views, or from a saved snapshot or SQL "
            "files: pgtv repair metadata --from FILE registers all of them as they were.",
            command="pgtv repair metadata --from SNAPSHOT",
        ),
    )


CHECK = Check(
    id="extension-missing",
    title="Tables of TVIEWs are here, the extension is not",
    group="installation",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("extension", "relations"),
    extension=False,
    provoke=Provoke(
        elsewhere="test/integration/checks/test_installation.py::test_dropped_extension"
    ),
)
