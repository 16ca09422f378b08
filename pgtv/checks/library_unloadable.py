"""The extension's library cannot be loaded.

Meaning:
    The SQL objects are installed and the file with their code is missing, unreadable, or built for
    another PostgreSQL: a package was removed, or the server's major version or architecture changed.

Impact:
    Every write to a base table of a TVIEW fails (SQLSTATE 58P01 or the loader's). If the library is
    in shared_preload_libraries, the server will not start again: do not restart it before the cure.

Diagnosis:
    One of the library's functions was called, in a savepoint, and the server's message kept.

Mitigation:
    Install the package that matches the installed extension, for this major version of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    extension, server = context.snapshot.extension, context.snapshot.server
    error = extension.library_error
    if not error:
        return
    if "42501" in error or "57014" in error:  # not allowed to ask, or no time
        yield context.finding(
            f"(extension {EXTENSION})",
            f"could not ask the library for its version: {error}",
            severity=Severity.UNKNOWN,
            effect=Effect.NONE,
            needs=(f"EXECUTE on the functions of schema {context.extschema}",),
        )
        return
    major = server.version_num // 10000
    yield context.finding(
        f"(extension {EXTENSION})",
        f"The library cannot be loaded: {error}. Every write to a base table of a TVIEW fails.",
        affects=tuple(t.label for t in context.snapshot.tviews),
        evidence=[{"error": error, "installed": extension.version, "PostgreSQL": server.version}],
        remedy=Remedy(
            note=f"Install the package of {EXTENSION} {extension.version} for PostgreSQL {major}."
            + (
                " It is preloaded: a restart before that does not come up."
                if extension.preloaded
                else ""
            )
        ),
    )


CHECK = Check(
    id="library-unloadable",
    title="The library cannot be loaded",
    group="installation",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=(),
    generations=("current", "beta19"),
    provoke=Provoke(elsewhere="test/integration/checks/test_installation.py::test_library_gone"),
)
