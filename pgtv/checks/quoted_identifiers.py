"""quote_all_identifiers is on: the extension takes built-in functions for unknown ones.

Meaning:
    New sessions of a role, of this database or of the server start with quote_all_identifiers = on.
    The extension asks PostgreSQL for the names of functions and relations, gets them quoted, and
    compares them with names that are not.

Impact:
    Creating, replacing and re-registering TVIEWs in such sessions fails with SQLSTATE 22023 (`calls
    "pg_catalog"."jsonb_build_object"(…), not immutable`), and with it the cures that re-register and
    the update of the extension. Plans made there hold quoted names. Writes go on.

Diagnosis:
    pg_db_role_setting, and the server's own value.

Mitigation:
    Reset it; tools that dump schemas set it for their own session.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.lasting import ON, lasting
from pgtv.finding import Effect, Finding, Severity

_NAME = "quote_all_identifiers"


def run(context: Context) -> Iterator[Finding]:
    for found in lasting(context, _NAME):
        if found.value.lower() not in ON:
            continue
        yield context.finding(
            found.scope,
            f"{_NAME} is on for {found.scope}: TVIEWs cannot be created, replaced or re-registered "
            "there (SQLSTATE 22023).",
            affects=tuple(t.label for t in context.snapshot.tviews),
            evidence=found.evidence,
            remedy=found.remedy,
        )


CHECK = Check(
    id="quoted-identifiers",
    title="quote_all_identifiers stops registrations",
    group="metadata",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "role_settings", "settings"),
    generations=("current",),
    provoke=Provoke(
        near_miss="ALTER ROLE shop_owner SET quote_all_identifiers = off;",
        break_="ALTER ROLE shop_owner SET quote_all_identifiers = on;",
        object="role shop_owner",
        undo="ALTER ROLE shop_owner RESET ALL;",
    ),
)
