"""A rewrite rule stands on a TVIEW's table.

Meaning:
    CREATE RULE was said for the table of a TVIEW, which turns the statements on it into others.

Impact:
    Writes to the base tables fail with SQLSTATE 0A000: the extension writes with ON CONFLICT and
    RETURNING, which PostgreSQL refuses on a table with such rules, even with DO ALSO. Rules on base
    tables are no danger: triggers see the rows that are written in the end.

Diagnosis:
    pg_rewrite of the TVIEWs' tables.

Mitigation:
    Drop the rule. What it was for can be done by triggers on the base tables.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        table = context.snapshot.by_oid.get(tview.table_oid)
        if table is None or not table.rules:
            continue
        yield context.finding(
            table.qualified,
            f"{len(table.rules)} rewrite rule{'s' if len(table.rules) > 1 else ''} on "
            f"{table.qualified}: refreshes, and so writes to what it reads, fail.",
            affects=context.affected(table.oid),
            evidence=[{"rule": rule} for rule in table.rules],
            remedy=Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    *(f"DROP RULE {ident(rule)} ON {table.qualified};" for rule in table.rules),
                ),
                role=f"the owner of {table.qualified}",
                locks=(f"ACCESS EXCLUSIVE on {table.qualified}",),
                decide="Somebody made it, and dropping it cannot be taken back.",
                note="Keep the rule's text first: \\d+ in psql prints it.",
            ),
        )


CHECK = Check(
    id="table-rules",
    title="A rewrite rule on a TVIEW's table",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations"),
    consequence_of=("table-mismatch",),
    provoke=Provoke(
        near_miss="CREATE RULE mine AS ON UPDATE TO public.tb_customer DO ALSO NOTHING;",
        break_="CREATE RULE mine AS ON UPDATE TO public.tv_customer DO ALSO NOTHING;",
        object="public.tv_customer",
    ),
)
