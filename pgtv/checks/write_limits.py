"""A limit of the extension is so low that ordinary statements fail.

Meaning:
    Two settings bound what one statement may set off: max_queue_size, the rows of TVIEWs that wait
    for their refresh, and max_refresh_rows, the rows that one refresh writes (0: no limit). One of
    them is lower than what ordinary statements need.

Impact:
    Statements that change more rows fail with SQLSTATE 54000 and are rolled back. Nothing is lost.

Diagnosis:
    Both settings as new sessions of this database get them, and those of single roles.

Mitigation:
    Raise the setting, or reset it to its default. As a guard against mistakes a limit should lie well
    above the largest statement that is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgtv.catalog.dialects.base import SETTING_PREFIX
from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.lasting import lasting
from pgtv.finding import Effect, Finding, Severity

_LIMITS = ("max_queue_size", "max_refresh_rows")


def run(context: Context) -> Iterator[Finding]:
    least = int(context.threshold("rows"))
    for limit in _LIMITS:
        name = SETTING_PREFIX + limit
        for found in lasting(context, name):
            if not found.value.isdecimal() or not 0 < int(found.value) < least:
                continue
            yield context.finding(
                found.scope if found.scope.startswith("role ") else "(database)",
                f"{name} is {found.value} for {found.scope}: a statement that reaches more rows of "
                "TVIEWs fails with SQLSTATE 54000.",
                key=limit,
                affects=tuple(t.label for t in context.snapshot.tviews),
                evidence=found.evidence,
                remedy=replace(found.remedy, role="superuser"),
            )


CHECK = Check(
    id="write-limits",
    title="A limit is too low for ordinary statements",
    group="graph",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "settings", "role_settings"),
    generations=("current",),
    thresholds={
        "rows": Threshold(
            1000, "rows", "a statement that changes a thousand rows is an ordinary one"
        )
    },
    provoke=Provoke(
        near_miss="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "
        + SETTING_PREFIX
        + "max_refresh_rows = 5000', current_database()); END $$;",
        break_="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "
        + SETTING_PREFIX
        + "max_refresh_rows = 10', current_database()); END $$;",
        object="(database)",
    ),
)
