"""Row-level security or rewrite rules stand on the extension's own tables.

Meaning:
    Row-level security was switched on for one of the extension's tables, or somebody put a rewrite
    rule on one. The extension has neither.

Impact:
    Roles that are subject to row-level security see an empty catalog: their writes to base tables fail
    with SQLSTATE 42704 (TVIEW does not exist), or reach no TVIEW, silently. Superusers notice nothing.
    With a rule for INSERT or UPDATE, creating and re-registering fail with SQLSTATE 0A000; with one
    INSTEAD, they do nothing.

Diagnosis:
    pg_class.relrowsecurity and pg_rewrite of the extension's tables.

Mitigation:
    Switch it off; drop the rule. Then look for rows that were missed: pgtv verify.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.trigger_faults import ACCESS_EXCLUSIVE
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    own = {*context.dialect.protected_tables, *context.dialect.required_tables}
    for table in context.snapshot.relations:
        if table.schema != context.extschema or table.name not in own or table.kind == "v":
            continue
        if table.row_security:
            yield _secured(context, table)
        if table.rules:
            yield _ruled(context, table)


def _secured(context: Context, table: Relation) -> Finding:
    off = f"ALTER TABLE {table.qualified} DISABLE ROW LEVEL SECURITY;"
    return context.finding(
        table.qualified,
        f"Row-level security hides rows of {table.qualified} from ordinary roles: their writes fail "
        "with SQLSTATE 42704 or reach no TVIEW.",
        key="row-security",
        affects=tuple(t.label for t in context.snapshot.tviews),
        evidence=[{"table": table.qualified, "row security": "on", "policies": table.policies}],
        remedy=Remedy(
            sql=("SET lock_timeout = '2s';", off),
            role="the owner of the extension, or a superuser",
            locks=(f"{ACCESS_EXCLUSIVE} on {table.qualified}",),
            undo=f"ALTER TABLE {table.qualified} ENABLE ROW LEVEL SECURITY;",
            note="Rows may have been missed meanwhile: pgtv verify tells.",
        ),
    )


def _ruled(context: Context, table: Relation) -> Finding:
    rules = ", ".join(table.rules)
    return context.finding(
        table.qualified,
        f"{table.qualified} has rewrite rules ({rules}): TVIEWs cannot be created or re-registered.",
        key="rules",
        severity=Severity.WARNING,
        effect=Effect.RISK,
        affects=tuple(t.label for t in context.snapshot.tviews),
        evidence=[{"table": table.qualified, "rule": rule} for rule in table.rules],
        remedy=Remedy(
            sql=(
                "SET lock_timeout = '2s';",
                *(f"DROP RULE {ident(rule)} ON {table.qualified};" for rule in table.rules),
            ),
            role="the owner of the extension, or a superuser",
            locks=(f"{ACCESS_EXCLUSIVE} on {table.qualified}",),
            note="Note its text first: SELECT definition FROM pg_rules.",
        ),
    )


CHECK = Check(
    id="catalog-filtered",
    title="The extension's catalog is filtered",
    group="privileges",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations"),
    generations=("current",),
    provoke=Provoke(
        near_miss="CREATE RULE quiet AS ON DELETE TO public.tb_category DO ALSO NOTHING;"
        " ALTER TABLE public.tb_customer ENABLE ROW LEVEL SECURITY;",
        break_=f"ALTER TABLE {registering.META} ENABLE ROW LEVEL SECURITY;",
        object=registering.META,
    ),
)
