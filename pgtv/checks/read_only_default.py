"""Sessions of this database start read-only.

Meaning:
    default_transaction_read_only is on for the database, for a role or for the whole server: usually
    what is left of an emergency or of a migration.

Impact:
    Writes fail with 25006 in every new session that it applies to. TVIEWs stay right, for nothing
    changes.

Diagnosis:
    pg_db_role_setting and pg_settings.

Mitigation:
    Reset it when the emergency is over. Sessions that are connected keep the old value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.lasting import ON, lasting
from pgtv.finding import Effect, Finding, Severity

_NAME = "default_transaction_read_only"


def run(context: Context) -> Iterator[Finding]:
    for found in lasting(context, _NAME):
        if found.value.lower() not in ON:
            continue
        yield context.finding(
            found.scope,
            f"New sessions of {found.scope} are read-only: their writes fail with 25006.",
            evidence=found.evidence,
            # the very session that cures it starts read-only
            remedy=replace(found.remedy, sql=(f"SET {_NAME} = off;", *found.reset)),
        )


CHECK = Check(
    id="read-only-default",
    title="New sessions are read-only",
    group="activity",
    severity=Severity.WARNING,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("role_settings", "settings"),
    where="primary",
    extension=False,
    provoke=Provoke(
        near_miss="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only"
        " = off', current_database()); END $$;",
        break_="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only"
        " = on', current_database()); END $$;",
    ),
)
