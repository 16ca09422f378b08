"""A TVIEW whose contents nobody ever compared with its definition.

Meaning:
    There is no record, in this database, of a verification of this TVIEW. Records of another
    database or server (a restored copy brings them along) do not count.

Impact:
    None by itself. But the extension never compares contents, and drift leaves no trace in its
    catalog: only a comparison of rows can tell whether this TVIEW is right.

Diagnosis:
    The schema pgtv, where `pgtv verify` writes down what it found, has no row for this table; or
    that schema does not exist.

Mitigation:
    Run pgtv verify. To have it remembered, make the schema once with pgtv init, and let a timer run
    pgtv verify with a budget and the oldest first.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.rows.recorded import latest


def run(context: Context) -> Iterator[Finding]:
    verified = latest(context.snapshot)
    never = [t for t in context.snapshot.tviews if t.table_oid not in verified]
    if not never:
        return
    names = tuple(t.label for t in never)
    yield context.finding(
        "(database)",
        f"{len(names)} of {len(context.snapshot.tviews)} TVIEWs were never verified.",
        evidence=[{"never verified": ", ".join(names[:10]) + (" …" if names[10:] else "")}],
        remedy=Remedy(
            command="pgtv verify",
            role="a role that may read the TVIEWs and their views",
            note="Compares rows and writes nothing but its record; pgtv init --apply makes the"
            " place for it.",
        ),
    )


CHECK = Check(
    id="never-verified",
    title="Contents were never verified",
    group="contents",
    severity=Severity.INFO,
    effect=Effect.NONE,
    run=run,
    needs=("tviews", "verifications"),
    provoke=Provoke(
        elsewhere="test/integration/rows/test_checks.py::test_never_verified_then_recorded"
    ),
)
