"""Sessions start with a timeout that is too short for writes to TVIEWs' base tables.

Meaning:
    statement_timeout or transaction_timeout is set for a role, for this database or for the server to
    less than the threshold. A write to a base table also refreshes every row of a TVIEW that it
    reaches, in the same statement.

Impact:
    Writes that take longer are cancelled with SQLSTATE 57014 and rolled back; transaction_timeout ends
    the session (25P04). TVIEWs stay right.

Diagnosis:
    pg_db_role_setting, and the server's own value. What a session sets for itself cannot be seen.

Mitigation:
    Reset it, or raise it well above the longest write that is meant. It counts for new sessions.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.lasting import lasting, milliseconds
from pgtv.finding import Effect, Finding, Severity

_CANCELS = {"statement_timeout": "57014", "transaction_timeout": "25P04"}


def run(context: Context) -> Iterator[Finding]:
    least = context.threshold("milliseconds")
    tviews = tuple(t.label for t in context.snapshot.tviews)
    for name, code in _CANCELS.items():
        for found in lasting(context, name):
            limit = milliseconds(found.value)
            if not limit or limit >= least:
                continue
            yield context.finding(
                found.scope,
                f"{name} of {found.scope} is {limit:g} ms: writes that take longer fail with SQLSTATE "
                f"{code}, the refresh of TVIEWs included.",
                key=name,
                affects=tviews,
                evidence=found.evidence,
                remedy=found.remedy,
            )


CHECK = Check(
    id="time-limit",
    title="A timeout is too short for writes",
    group="activity",
    severity=Severity.WARNING,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "role_settings", "settings"),
    where="primary",
    thresholds={
        "milliseconds": Threshold(
            100, "ms", "a statement that refreshes some hundred rows takes tens of milliseconds"
        )
    },
    provoke=Provoke(
        near_miss="ALTER ROLE shop_owner SET statement_timeout = '2s';",
        break_="ALTER ROLE shop_owner SET statement_timeout = '20ms';",
        object="role shop_owner",
        undo="ALTER ROLE shop_owner RESET ALL;",
    ),
)
