"""The columns of a TVIEW's table are not those of its backing view.

Meaning:
    The backing view has a column that the table lacks, or of another type. The extension refuses
    such changes on the table; a view renamed or replaced past it gets there.

Impact:
    A missing column fails every write that reaches the TVIEW (SQLSTATE 42703). A column of another
    type is converted on each write, or fails, as its value permits.

Diagnosis:
    Names and types of the two relations are compared. Further columns of the table do no harm and
    are not reported; nor are pk_, fk_, id and data columns of another type, which the extension
    chooses itself.

Mitigation:
    Make the backing view again from the stored definition, which the table was made for; or pass the
    new query to create_or_replace, which changes the table with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.model import Column
from pgtv.checks.bindings import GENERATIONS, recreate_view
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    by_oid = context.snapshot.by_oid
    for tview in context.snapshot.tviews:
        table, view = by_oid.get(tview.table_oid), by_oid.get(tview.view_oid)
        if not table or not view or view.kind != "v" or table.kind != "r":
            continue
        if not table.columns or not view.columns:
            continue
        if context.dialect.backing_view(table.schema, table.name)[:54] != view.name[:54]:
            continue  # another relation altogether: view-mismatch and table-mismatch say so
        held = {c.name: c for c in table.columns}
        missing = [c for c in view.columns if c.name not in held]
        retyped = [
            c
            for c in view.columns
            if c.name in held and held[c.name].type != c.type and not _by_design(c)
        ]
        if not missing and not retyped:
            continue
        yield context.finding(
            tview.label,
            f"{view.qualified} and {tview.label} have different columns: "
            + (
                "every write that reaches the TVIEW fails (42703)."
                if missing
                else "values are converted on each write, or refused."
            ),
            severity=Severity.CRITICAL if missing else Severity.WARNING,
            effect=Effect.WRITES_FAIL if missing else Effect.RISK,
            affects=context.affected(tview.table_oid),
            evidence=[
                *({"view": f"{c.name} {c.type}", "table": "has no such column"} for c in missing),
                *(
                    {"view": f"{c.name} {c.type}", "table": f"{c.name} {held[c.name].type}"}
                    for c in retyped
                ),
            ],
            remedy=recreate_view(context, tview, table, drop=view.qualified),
        )


def _by_design(column: Column) -> bool:
    """Columns whose types are the extension's choice."""
    name = column.name
    return name.startswith(("pk_", "fk_")) or name in ("id", "identifier", "data") or (
        name.endswith("_id")
    )  # fmt: skip


CHECK = Check(
    id="columns-disagree",
    title="A TVIEW's table and view have different columns",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations"),
    consequence_of=("view-mismatch", "table-mismatch"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss="ALTER TABLE public.tv_customer ADD COLUMN note text;",
        break_="ALTER VIEW tviews.public__tv_customer RENAME COLUMN id TO uid;",
        object="public.tv_customer",
    ),
)
