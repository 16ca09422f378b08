"""Changes of TVIEWs are published, and transactions are prepared: PREPARE fails.

Meaning:
    publish_changes is on for the server, for this database or for a role, and the server allows
    prepared transactions (max_prepared_transactions is not 0). The extension announces changed rows
    at commit, which PostgreSQL cannot do for a prepared transaction.

Impact:
    PREPARE TRANSACTION fails with SQLSTATE 25000 and rolls back whenever the transaction changed a row
    of a TVIEW. Transactions that are not prepared are not concerned.

Diagnosis:
    Both settings. max_prepared_transactions is 0 by default: where it is not, somebody prepares.

Mitigation:
    Switch publish_changes off for the role that prepares; or set max_prepared_transactions to 0, with
    a restart, where nobody does.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import SETTING_PREFIX
from pgtv.checks.declare import Check, Context, NotApplicable, Provoke
from pgtv.checks.lasting import lasting
from pgtv.finding import Effect, Finding, Remedy, Severity

_NAME = SETTING_PREFIX + "publish_changes"


def run(context: Context) -> Iterator[Finding]:
    slots = context.snapshot.server.max_prepared_transactions
    if not slots:
        raise NotApplicable("max_prepared_transactions is 0: nobody can prepare")
    for found in lasting(context, _NAME):
        if found.value.lower() == "off":
            continue
        yield context.finding(
            found.scope,
            f"{_NAME} is {found.value} for {found.scope}, and transactions can be prepared: PREPARE "
            "of one that changed a TVIEW fails with SQLSTATE 25000.",
            affects=tuple(t.label for t in context.snapshot.tviews),
            evidence=[
                {"setting": _NAME, "value": found.value, "from": found.source},
                {"setting": "max_prepared_transactions", "value": slots},
            ],
            remedy=Remedy(
                sql=found.reset,
                role="superuser",
                undo=found.undo,
                note="Who listens hears nothing more from new sessions. To go on publishing, switch "
                "it off only for the role that prepares.",
            ),
        )


CHECK = Check(
    id="prepare-refused",
    title="Published changes make PREPARE fail",
    group="twophase",
    severity=Severity.WARNING,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "role_settings", "settings"),
    where="primary",
    generations=("current",),
    provoke=Provoke(
        near_miss=f"ALTER ROLE shop_owner SET {_NAME} = off;",
        break_=f"ALTER ROLE shop_owner SET {_NAME} = rows;",
        object="role shop_owner",
        undo="ALTER ROLE shop_owner RESET ALL;",
    ),
)
