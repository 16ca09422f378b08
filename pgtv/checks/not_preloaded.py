"""The extension's library is not in shared_preload_libraries.

Meaning:
    Sessions load the library only when a trigger calls it. What it does beyond triggers is missing
    until then.

Impact:
    Triggers work. CREATE TABLE tv_… AS is refused (SQLSTATE 55000); renames of columns, DROP TABLE and
    ALTER TABLE in a session that has not loaded the library pass it by and leave registrations wrong;
    UNLOGGED TVIEWs are not refilled after a crash; counters and the feed do not exist.

Diagnosis:
    The setting, by its entries.

Mitigation:
    Add it and restart the server.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import LIBRARY
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    extension = context.snapshot.extension
    if extension.preloaded is not False:
        return
    others = [
        name.strip().strip('"')
        for name in (extension.preload_libraries or "").split(",")
        if name.strip()
    ]
    # ALTER SYSTEM takes the names as a list of values, not as one text
    value = ", ".join("'" + n.replace("'", "''") + "'" for n in [*others, LIBRARY])
    before = ", ".join("'" + n.replace("'", "''") + "'" for n in others) or "''"
    yield context.finding(
        "(server)",
        f"{LIBRARY} is not in shared_preload_libraries.",
        affects=tuple(t.label for t in context.snapshot.tviews),
        evidence=[{"shared_preload_libraries": extension.preload_libraries or "(empty)"}],
        remedy=Remedy(
            sql=(f"ALTER SYSTEM SET shared_preload_libraries = {value};",),
            role="superuser",
            undo=f"ALTER SYSTEM SET shared_preload_libraries = {before};",
            note="It counts from the next restart of the server. Not on a platform that manages its "
            "settings: change it there.",
        ),
    )


CHECK = Check(
    id="not-preloaded",
    title="The library is not preloaded",
    group="installation",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("extension", "preloaded"),
    generations=("current",),
    provoke=Provoke(elsewhere="test/integration/checks/test_installation.py::test_not_preloaded"),
)
