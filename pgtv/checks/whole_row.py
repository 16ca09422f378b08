"""A definition reads a table as a whole row, and the extension does not follow its columns.

Meaning:
    An expression of the definition takes all columns of a table at once, as in `to_jsonb(t)`. The
    plan lists the columns whose updates matter, and a whole row does not count among them.

Impact:
    Updates of columns that the definition names nowhere else succeed and never reach the TVIEW: rows
    are wrong for ever, and the extension's health check says OK. So does adding, renaming or
    dropping a column of the table.

Diagnosis:
    The definition as the backing view holds it, against the columns of the plan.

Mitigation:
    Name the columns: `jsonb_build_object('name', t.name, …)` in place of `to_jsonb(t)`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.definitions import definitions
from pgtv.checks.expected import read_kinds
from pgtv.definitions.reads import WHOLE
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    by_reader = definitions(context).by_reader
    for tview in snapshot.tviews:
        lineage = by_reader.get(tview.table_oid)
        if lineage is None or lineage.reads is None:
            continue
        if tview.plan_error or not isinstance(tview.plan, dict):  # plan-unreadable tells
            continue
        kinds = read_kinds(tview)
        watched = {t["relid"]: t.get("attnums") for t in tview.plan.get("tables", ())}
        for name, oid in lineage.relations.items():
            table = snapshot.by_oid.get(oid)
            seen = watched.get(oid)
            if table is None or kinds.get(oid) not in ("local", "mapped") or seen is None:
                continue
            read = {column for relation, column in lineage.reads.columns if relation == name}
            lost = [
                c.name
                for c in table.columns
                if c.attnum not in seen and (c.name in read or WHOLE in read)
            ]
            if not lost:
                continue
            yield context.finding(
                tview.label,
                f"{tview.label} reads {table.qualified} as a whole row: updates of {', '.join(lost)} "
                "alone do not reach it.",
                key=table.qualified,
                affects=context.affected(tview.table_oid),
                evidence=[{"whole row of": table.qualified, "not watched": ", ".join(lost)}],
                remedy=Remedy(
                    role=f"owner of {tview.label}",
                    note="Name the columns in the definition and replace the TVIEW by it: that brings"
                    " its rows, too.",
                ),
            )


CHECK = Check(
    id="whole-row",
    title="A definition reads a whole row, which is not followed",
    group="graph",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "reads"),
    consequence_of=("reads-disagree", "plan-disagrees"),
    generations=("current",),
    provoke=Provoke(
        near_miss="SELECT tviews.pg_tviews_create('public.tv_copy',"
        " 'SELECT c.pk_category AS pk_copy, c.* FROM public.tb_category c');",
        break_="SELECT tviews.pg_tviews_create('public.tv_row',"
        " 'SELECT c.pk_category AS pk_row, to_jsonb(c) AS data FROM public.tb_category c');",
        object="public.tv_row",
    ),
)
