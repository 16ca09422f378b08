"""The extension's release does not support this version of PostgreSQL.

Meaning:
    The releases of this catalog are made for PostgreSQL 16 to 18.

Impact:
    It may work. Nobody tests it, and the next minor release of either may break it.

Diagnosis:
    The server's major version against those of the release.

Mitigation:
    Move to a supported pair of versions; rehearse it first, because pg_upgrade and the extension do
    not go together without preparation.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    server, majors = context.snapshot.server, context.dialect.server_majors
    major = server.version_num // 10000
    if not major or major in majors:
        return
    supported = ", ".join(map(str, majors))
    yield context.finding(
        "(server)",
        f"PostgreSQL {server.version}: this release of {EXTENSION} is made for {supported}.",
        evidence=[{"PostgreSQL": server.version, "supported": supported}],
        remedy=Remedy(note=f"Run a release of {EXTENSION} that supports PostgreSQL {major}."),
    )


CHECK = Check(
    id="server-unsupported",
    title="This version of PostgreSQL is not supported",
    group="installation",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("server",),
    provoke=Provoke(elsewhere="test/unit/checks/test_installation.py::test_unsupported_server"),
)
