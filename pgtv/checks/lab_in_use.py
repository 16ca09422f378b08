"""This database has pgtv's stand-in of the extension, made for looking and for tests.

Meaning:
    The schema holds PL/pgSQL functions with the extension's surface, slow and simple.

Impact:
    Every writing statement recomputes TVIEWs whole. Nothing here was made for production.

Diagnosis:
    The comment on the schema.

Mitigation:
    Install the real extension in a database of its own and create the TVIEWs there.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    yield context.finding(
        f"(schema {context.extschema})",
        f"This is pgtv's stand-in, not {EXTENSION}: for looking and for tests only.",
        evidence=[{"schema": context.extschema, "owner": context.snapshot.extension.owner}],
        remedy=Remedy(note=f"Install {EXTENSION} for anything but looking."),
    )


CHECK = Check(
    id="lab-in-use",
    title="The stand-in is in use",
    group="installation",
    severity=Severity.INFO,
    effect=Effect.NONE,
    run=run,
    needs=("extension",),
    generations=("lab",),
    provoke=Provoke(elsewhere="test/integration/checks/test_installation.py::test_lab"),
)
