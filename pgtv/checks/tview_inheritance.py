"""A TVIEW's table inherits from another table, or is inherited from.

Meaning:
    ALTER TABLE … INHERIT (or ATTACH PARTITION) made the table of a TVIEW the child of another one, or
    another one its child. The extension neither refuses nor notices it.

Impact:
    As a child: whoever may update, delete or truncate the parent does so to the TVIEW's rows, without a
    privilege on the TVIEW. As a parent: who reads the TVIEW reads the child's rows as well, and a refresh
    empties the child.

Diagnosis:
    pg_inherits, for the tables of TVIEWs.

Mitigation:
    Take the table out of the inheritance and bring the rows. Where several TVIEWs are to be read as one,
    a view with UNION ALL does it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.model import Relation, Tview
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for relation in snapshot.relations:
        tview = snapshot.tview_by_table.get(relation.oid)
        for oid in relation.inherits:
            parent, above = snapshot.by_oid.get(oid), snapshot.tview_by_table.get(oid)
            if tview and parent:
                yield _finding(
                    context, tview, relation, parent, Effect.RISK,
                    f"{relation.qualified} inherits from {parent.qualified}: whoever may write "
                    f"{parent.qualified} writes its rows, without a privilege on it.",
                )  # fmt: skip
            elif above and parent:
                yield _finding(
                    context, above, relation, parent, Effect.ROWS_WRONG,
                    f"{relation.qualified} inherits from {parent.qualified}: who reads the TVIEW reads "
                    f"the rows of {relation.qualified} as well, and a refresh empties it.",
                )  # fmt: skip


def _finding(
    context: Context, tview: Tview, child: Relation, parent: Relation, effect: Effect, detail: str
) -> Finding:
    # a refresh empties what inherits from the TVIEW, which the child no longer does by then
    rows = bring(context, [tview], apart=(child.qualified,))
    if partition := parent.kind == "p":
        apart = f"ALTER TABLE {parent.qualified} DETACH PARTITION {child.qualified};"
        locked = tuple(dict.fromkeys((child.qualified, parent.qualified)))
    else:
        apart = f"ALTER TABLE {child.qualified} NO INHERIT {parent.qualified};"
        locked = (child.qualified,)
    return context.finding(
        tview.label,
        detail,
        key=(parent if child.oid == tview.table_oid else child).qualified,
        effect=effect,
        affects=context.affected(tview.table_oid),
        evidence=[{"child": child.qualified, "parent": parent.qualified}],
        remedy=Remedy(
            sql=("SET lock_timeout = '2s';", apart, *rows.sql),
            role="the owner of both tables, or a superuser",
            locks=(f"ACCESS EXCLUSIVE on {', '.join(locked)}", *rows.locks),
            undo=None
            if partition
            else f"ALTER TABLE {child.qualified} INHERIT {parent.qualified};",
            note=rows.note,
            decide=f"Who reads {parent.qualified} then no longer reads the rows of {child.qualified}.",
        ),
    )


CHECK = Check(
    id="tview-inheritance",
    title="A TVIEW's table takes part in inheritance",
    group="privileges",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations"),
    provoke=Provoke(
        near_miss="CREATE TABLE public.documents (data jsonb);"
        " CREATE TABLE public.more () INHERITS (public.documents);",
        break_="ALTER TABLE public.tv_customer INHERIT public.documents;",
        object="public.tv_customer",
    ),
)
