"""Somebody's constraint on a TVIEW's table can refuse what a refresh writes.

Meaning:
    A CHECK, exclusion, foreign-key or further unique constraint was put on the table of a TVIEW, or
    a NOT NULL column that the definition does not fill. The extension makes none but the key; whether
    rows may come and go is decided by the definition.

Impact:
    A write to a base table whose refresh would break the constraint fails: SQLSTATE 23514 for a
    CHECK, 23502 for a column that is left null, 23505 for a unique index, 23P01 for an exclusion
    constraint, 23503 where a foreign key points at a row that has to go. Everything works until that
    row comes; only a column that must not be null and is filled by nobody refuses every new row:
    critical. While a foreign key points at a TVIEW, the extension's own refresh of it, or of one that
    it embeds, fails with 0A000: it truncates. pgtv refresh merges rows and works.

Diagnosis:
    pg_constraint and the unique indexes of the TVIEW's table, besides its identity and the indexes
    that its options declare.

Mitigation:
    Put the constraint on the base tables, where a violation is seen by who makes it, and drop it here.
    It is somebody's own, so pgtv repair leaves it alone until the finding is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Tview
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import if_reached
from pgtv.finding import Effect, Finding, Remedy, Severity

_KINDS = {
    "c": ("CHECK constraint", "23514"), "x": ("exclusion constraint", "23P01"),
    "f": ("foreign key", "23503"),
}  # fmt: skip


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        table = context.snapshot.by_oid.get(tview.table_oid)
        if table is None:
            continue
        for constraint in table.constraints:
            if constraint.kind in _KINDS:
                what, state = _KINDS[constraint.kind]
                drop = f"ALTER TABLE {constraint.table} DROP CONSTRAINT {ident(constraint.name)};"
                on = tuple(dict.fromkeys((constraint.table, table.qualified)))
                if constraint.kind == "f" and len(on) == 1:
                    continue  # from here to a base table: what it reads is checked there too
                yield _finding(context, tview, table, constraint.name, what, state, drop, on)
        yield from _unique(context, tview, table)
        yield from _required(context, tview, table)


def _unique(context: Context, tview: Tview, table: Relation) -> Iterator[Finding]:
    declared = tview.raw.get("declared_indexes")
    if declared and not isinstance(declared, list):
        return
    named = {d.get("name") for d in declared or () if isinstance(d, dict)}
    for index in context.snapshot.indexes_on.get(table.oid, ()):
        known = index.name in tview.managed_indexes or index.name in named
        if not index.unique or index.primary or known:
            continue
        if set(tview.identity) <= set(index.columns):
            continue  # never stricter than the identity
        drop = (
            f"ALTER TABLE {table.qualified} DROP CONSTRAINT {ident(index.name)};"
            if index.constraint
            else f"DROP INDEX {ident(table.schema)}.{ident(index.name)};"
        )
        yield _finding(
            context, tview, table, index.name, "unique index", "23505", drop, (table.qualified,)
        )


def _required(context: Context, tview: Tview, table: Relation) -> Iterator[Finding]:
    """Columns that neither the definition nor a default fills and that must not be null."""
    view = context.snapshot.by_oid.get(tview.view_oid)
    if view is None or not view.columns:
        return
    filled = {c.name for c in view.columns}
    for index in context.snapshot.indexes_on.get(table.oid, ()):
        if index.primary:  # a key that the definition lacks is another's fault, and cannot be null
            filled.update(index.columns)
    for column in table.columns:
        if column.not_null and not column.has_default and column.name not in filled:
            drop = f"ALTER TABLE {table.qualified} ALTER COLUMN {ident(column.name)} DROP NOT NULL;"
            yield replace(
                _finding(
                    context, tview, table, column.name, "NOT NULL column that the definition lacks",
                    "23502", drop, (table.qualified,),
                ),
                severity=Severity.CRITICAL,
                effect=if_reached(context, tview),
                detail=f"NOT NULL column {ident(column.name)} on {table.qualified} that neither the "
                f"definition nor a default fills: what would add a row to {tview.label} fails with "
                "SQLSTATE 23502.",
            )  # fmt: skip


def _finding(
    context: Context, tview: Tview, table: Relation, name: str, what: str, state: str, drop: str,
    on: tuple[str, ...],
) -> Finding:  # fmt: skip
    return context.finding(
        table.qualified,
        f"{what} {ident(name)} on {on[0]}: a write to a base table fails with SQLSTATE {state} "
        f"when what it makes of {tview.label} breaks it.",
        key=name,
        severity=Severity.WARNING,
        affects=context.affected(table.oid),
        evidence=[{"constraint": name, "kind": what, "declared on": on[0]}],
        remedy=Remedy(
            sql=("SET lock_timeout = '2s';", drop),
            role=f"the owner of {on[0]}",
            locks=tuple(f"ACCESS EXCLUSIVE on {one}" for one in on),
            decide="Somebody made it, and dropping it cannot be taken back.",
            note="Keep its text first: \\d in psql prints it. A like constraint belongs on the base"
            " tables.",
        ),
    )


CHECK = Check(
    id="tview-constraint",
    title="A constraint on a TVIEW's table",
    group="storage",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "indexes"),
    generations=("current", "lab"),
    consequence_of=("table-mismatch",),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_customer ADD CHECK (pk_customer < 100000);"
        " CREATE INDEX ON public.tv_customer ((data->>'name'));"
        " CREATE UNIQUE INDEX ON public.tv_category (pk_category, id);",
        break_="ALTER TABLE public.tv_customer ADD CHECK (pk_customer <= 200);",
        object="public.tv_customer",
    ),
)
