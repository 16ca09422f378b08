"""The backing view of a TVIEW is gone, is another relation, or was renamed or moved.

Meaning:
    A catalog row holds the OID of the TVIEW's backing view, which gives each row as it should be.
    That OID belongs to no relation, to something that is no view, or to a view of another name.

Impact:
    Without its view, or with another relation in its place, writes to what the TVIEW reads fail
    (SQLSTATE XX000 or 42703), and re-registering fails too. With its own view under another name
    rows are kept right, but a restore, a rename of the table, or a new registration will not find it.

Diagnosis:
    The OID is looked up in pg_class; the view has to stand in the extension's schema under the name
    made of the table's schema and name.

Mitigation:
    Where the view stands under its name, the row is bound to it; where it was renamed, it is renamed
    back; where it is gone, it is created from the stored definition, with the owner and the readers
    of the table, then bound, re-registered and refreshed.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Tview
from pgtv.checks.bindings import GENERATIONS, TIMEOUT, is_view_of, recreate_view, reregister
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    by_oid = context.snapshot.by_oid
    named = {(r.schema, r.name): r for r in context.snapshot.relations if r.kind == "v"}
    for tview in context.snapshot.tviews:
        table, view = by_oid.get(tview.table_oid), by_oid.get(tview.view_oid)
        if table is None or table.name != f"tv_{tview.entity}":
            continue  # table-mismatch says it all
        if (
            view
            and view.kind == "v"
            and view.schema == context.extschema
            and is_view_of(context, view, table)
        ):
            continue
        candidate = named.get(
            (context.extschema, context.dialect.backing_view(table.schema, table.name))
        )
        shared = any(t.view_oid == tview.view_oid for t in context.snapshot.tviews if t != tview)
        moved = bool(
            view
            and view.kind == "v"
            and candidate is None
            and not shared
            and {c.name for c in view.columns} <= {c.name for c in table.columns}
        )
        is_now = f"{view.qualified}, relkind {view.kind}" if view else "nothing"
        yield context.finding(
            tview.label,
            f"The catalog says that the backing view of {tview.label} has OID {tview.view_oid}, "
            f"which is {is_now}. "
            + (
                "Rows are kept right, but restores and renames will not find it."
                if moved
                else "Writes to what it reads fail."
            ),
            severity=Severity.WARNING if moved else Severity.CRITICAL,
            effect=Effect.RISK if moved else Effect.WRITES_FAIL,
            affects=context.affected(tview.table_oid),
            evidence=[
                {"entity": tview.entity, "view_oid": tview.view_oid, "is": is_now},
                {"view named so": candidate.qualified if candidate else "none"},
            ],
            remedy=_remedy(context, tview, table, view if moved else None, candidate),
        )


def _remedy(
    context: Context,
    tview: Tview,
    table: Relation,
    moved: Relation | None,
    candidate: Relation | None,
) -> Remedy:
    schema, dialect = context.extschema, context.dialect
    if candidate:
        bind = registering.rebind(dialect, schema, tview.entity, view=candidate.qualified)
        return reregister(context, tview, bind, refresh=True)
    if moved is None:
        return recreate_view(context, tview, table)
    name = dialect.backing_view(table.schema, table.name)
    sql, at = [TIMEOUT], moved.qualified
    if moved.schema != schema:
        sql.append(f"ALTER VIEW {at} SET SCHEMA {ident(schema)};")
        at = f"{ident(schema)}.{ident(moved.name)}"
    if moved.name != name:
        sql.append(f"ALTER VIEW {at} RENAME TO {ident(name)};")
    return Remedy(
        sql=tuple(sql), role="superuser", locks=(f"ACCESS EXCLUSIVE on {moved.qualified}",)
    )


CHECK = Check(
    id="view-mismatch",
    title="A TVIEW's backing view is not what the catalog says",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations"),
    consequence_of=("table-mismatch", "registration-missing"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss="CREATE SCHEMA other; CREATE VIEW other.public__tv_customer AS SELECT 1 AS x;",
        break_="DROP VIEW tviews.public__tv_customer;",
        object="public.tv_customer",
    ),
)
