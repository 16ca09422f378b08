"""The backing view of a TVIEW has another owner than its table.

Meaning:
    The extension keeps the owner of the backing view equal to that of the table. Somebody changed
    one of them alone, or a restore did.

Impact:
    Refreshes read the view as the owner of the table. If that role may not, writes to the base tables
    fail with SQLSTATE 42501. If it may, the view shows what its own owner sees, so the TVIEW holds
    rows by somebody else's privileges and row-level security.

Diagnosis:
    pg_class.relowner of both.

Mitigation:
    Say ALTER TABLE … OWNER TO the owner that it should have: the extension makes the view follow.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    unreadable = {a.relation for a in snapshot.access if not a.select and not a.function}
    for tview in snapshot.tviews:
        table, view = snapshot.by_oid.get(tview.table_oid), snapshot.by_oid.get(tview.view_oid)
        if table is None or view is None or table.owner == view.owner:
            continue
        fails = view.oid in unreadable
        yield context.finding(
            table.qualified,
            f"{table.qualified} belongs to {table.owner}, its backing view to {view.owner}"
            + (": writes that reach it fail with SQLSTATE 42501." if fails else "."),
            severity=Severity.CRITICAL if fails else Severity.WARNING,
            effect=Effect.WRITES_FAIL if fails else Effect.RISK,
            affects=context.affected(table.oid),
            evidence=[
                {"relation": table.qualified, "owner": table.owner},
                {"relation": view.qualified, "owner": view.owner},
            ],
            remedy=Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    f"ALTER TABLE {table.qualified} OWNER TO {ident(table.owner)};",
                ),
                role="a superuser",
                locks=(
                    f"ACCESS EXCLUSIVE on {table.qualified}",
                    f"ACCESS EXCLUSIVE on {view.qualified}",
                ),
                undo=f"ALTER VIEW {view.qualified} OWNER TO {ident(view.owner)};",
                note="It names the owner that the table has already; the extension gives the view "
                "the same. Where the other owner is the right one, name that one.",
            ),
        )


CHECK = Check(
    id="owner-differs",
    title="A backing view has another owner than its table",
    group="privileges",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations"),
    generations=("current",),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_customer OWNER TO postgres;"
        " GRANT SELECT ON public.tb_customer TO shop_owner;",
        break_="SELECT format('ALTER VIEW %s OWNER TO postgres', view) FROM tviews.registry"
        " WHERE entity = 'customer' \\gexec",
        object="public.tv_customer",
    ),
)
