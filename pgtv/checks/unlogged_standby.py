"""UNLOGGED TVIEWs cannot be read on standbys.

Meaning:
    The rows of an UNLOGGED table are not replicated. A standby has the table and refuses to read it.

Impact:
    Queries on a standby fail with SQLSTATE 0A000 (cannot access temporary or unlogged relations
    during recovery). After a promotion the TVIEW is empty until it is refilled.

Diagnosis:
    pg_class.relpersistence; on a primary, standbys that are connected.

Mitigation:
    Send readers of that TVIEW to the primary, or create it again as a logged one (option `logged`).
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    here = snapshot.server.in_recovery
    standbys = [r.name for r in snapshot.replicas if r.state == "streaming"]
    if not here and not standbys:
        return
    unlogged = [
        t for t in snapshot.tviews
        if (r := snapshot.by_oid.get(t.table_oid)) and r.persistence == "u"
    ]  # fmt: skip
    if not unlogged:
        return
    where = "here, on this standby" if here else f"on {', '.join(sorted(set(standbys)))}"
    names = ", ".join(t.label for t in unlogged[:5]) + (" …" if len(unlogged) > 5 else "")
    yield context.finding(
        unlogged[0].label if len(unlogged) == 1 else "UNLOGGED TVIEWs",
        f"{names} cannot be read {where}: UNLOGGED tables are not replicated.",
        severity=Severity.WARNING if here else Severity.INFO,
        effect=Effect.RISK if here else Effect.NONE,
        affects=context.affected(*(t.table_oid for t in unlogged)),
        evidence=[{"tview": t.label, "persistence": "unlogged"} for t in unlogged],
        remedy=Remedy(
            note="Read them on the primary, or create them again there with the option "
            "logged = true, which rewrites the table."
        ),
    )


CHECK = Check(
    id="unlogged-standby",
    title="UNLOGGED TVIEWs cannot be read on standbys",
    group="storage",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "replicas"),
    provoke=Provoke(elsewhere="test/integration/checks/test_unlogged.py::test_on_a_standby"),
)
