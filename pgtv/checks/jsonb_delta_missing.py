"""The companion extension jsonb_delta is not installed.

Meaning:
    With it, changed keys are patched into stored documents; without it, PostgreSQL's own jsonb_set
    does the same.

Impact:
    None on correctness. Updates of large documents cost more.

Diagnosis:
    pg_extension.

Mitigation:
    Install it where large documents are updated often; nothing has to be changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    if not context.snapshot.extension.jsonb_delta:
        yield context.finding(
            "(extension jsonb_delta)",
            "jsonb_delta is not installed: documents are patched by PostgreSQL's own functions.",
            evidence=[{"jsonb_delta": "not installed"}],
            remedy=Remedy(note="Nothing is wrong. It makes updates of large documents cheaper."),
        )


CHECK = Check(
    id="jsonb-delta-missing",
    title="jsonb_delta is not installed",
    group="installation",
    severity=Severity.INFO,
    effect=Effect.NONE,
    run=run,
    needs=("extension",),
    generations=("current",),
    provoke=Provoke(elsewhere="test/integration/checks/test_installation.py::test_jsonb_delta"),
)
