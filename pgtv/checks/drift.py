"""Rows of a TVIEW differ from its definition now.

Meaning:
    The definition was evaluated and compared with the table, row by row, in one snapshot: rows are
    missing, extra or changed. Equality is that of the extension itself, the rows' images.

Impact:
    Readers of this TVIEW, and of those that embed it, are served wrong rows now. Rows heal by
    themselves only when their own base rows happen to be written again.

Diagnosis:
    Runs with doctor --verify only, because it reads every row. The evidence names the first rows and
    where they differ; pgtv verify shows more, and pgtv explain TVIEW:KEY where a row comes from.

Mitigation:
    Cure first what let rows slip: missing or disabled triggers, session_replication_role, a restore,
    direct writes to the table. Then re-register, which derives the plan anew (one that maps by the wrong
    column shows here alone), and refresh, TVIEWs that are read by others first; verify again.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Severity


def run(_: Context) -> Iterator[Finding]:
    """The findings come from pgtv.checks.contents, which may ask the server."""
    yield from ()


CHECK = Check(
    id="drift",
    title="Contents differ from the definition",
    group="contents",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    option="--verify",
    consequence_of=("trigger-missing", "trigger-disabled", "trigger-lease", "replication-role"),
    provoke=Provoke(elsewhere="test/integration/rows/test_checks.py::test_doctor_verify"),
)
