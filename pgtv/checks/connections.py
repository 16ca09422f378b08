"""The server is running out of connections.

Meaning:
    Most of max_connections is taken, not counting what is reserved for superusers.

Impact:
    When it is full, new sessions fail with 53300: the application's, monitoring, and yours.

Diagnosis:
    Backends in pg_stat_database against max_connections less the reserved ones.

Mitigation:
    Find who holds them (pg_stat_activity by application and state), put a pooler in between. Raising
    max_connections needs a restart.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    server = context.snapshot.server
    usable = server.max_connections - server.reserved_connections
    if server.connections is None or usable <= 0:
        yield context.finding(
            "(server)",
            "could not look: the number of connections is hidden",
            severity=Severity.UNKNOWN,
            effect=Effect.NONE,
            needs=("SELECT on pg_catalog.pg_stat_database",),
        )
        return
    ratio = server.connections / usable
    severity = context.level(ratio)
    if severity is None:
        return
    yield context.finding(
        "(server)",
        f"{server.connections} of {usable} connections are taken ({ratio:.0%}).",
        severity=severity,
        evidence=[
            {
                "connections": server.connections,
                "max_connections": server.max_connections,
                "reserved": server.reserved_connections,
            }
        ],
        remedy=Remedy(
            sql=(
                "SELECT application_name, state, count(*), max(now() - state_change) AS longest"
                " FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC;",
            ),
            role="pg_monitor",
            note="Shows who holds them; which to end is yours to decide.",
        ),
    )


CHECK = Check(
    id="connections",
    title="Connections run out",
    group="activity",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("server",),
    extension=False,
    thresholds={
        "warning": Threshold(0.7, "of usable connections", "operating guides of poolers"),
        "critical": Threshold(0.9, "of usable connections", "operating guides of poolers"),
    },
    provoke=Provoke(elsewhere="test/integration/checks/test_activity.py::test_connections"),
)
