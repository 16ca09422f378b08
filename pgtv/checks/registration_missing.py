"""A TVIEW's table, backing view or triggers are there, and the catalog does not know it.

Meaning:
    The catalog row of a TVIEW is gone, while what it registered still stands: the backing view in
    the extension's schema, the triggers on its base tables, or only the table with the shape that
    the extension gives to its tables. This is what a deleted row, a schema-only restore, a restore
    whose copy of the catalog failed, or a dropped and re-created extension leave.

Impact:
    The table looks alive and is never updated again: writes to its base tables succeed and leave it
    as it was. Where transition-table (delta) triggers are left, such writes fail with SQLSTATE
    42704 `TVIEW … does not exist`. The extension's health check reports orphaned triggers at most.

Diagnosis:
    Backing views, trigger arguments and tables named tv_* are compared with the catalog. A table that
    has neither view nor triggers nor the storage options that the extension sets is reported when its
    columns are a TVIEW's too, pk_ENTITY and JSON named data: it may have been made while the library
    was not loaded. Tables that a subscription writes are left out.

Mitigation:
    While the backing view stands it holds the definition: a row made of it, with an empty plan, is
    completed by re-registering, and a refresh brings the rows missed. Where the view is gone too the
    definition has to come from a saved snapshot or an SQL file that defines the TVIEW. Options that were
    in the row only (policies, declared indexes, group keys, type name) are lost with it, and come from
    there as well: pgtv repair metadata --from FILE.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.catalog.dialects.base import ident
from pgtv.checks.bindings import (
    GENERATIONS,
    PINNED,
    TIMEOUT,
    Lost,
    lost,
    relations_read,
)  # fmt: skip
from pgtv.checks.bringing import Root, from_roots
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for one in lost(context):
        delta = any(t.kind == "delta" for t in one.triggers)
        affects = _affects(context, one)
        yield context.finding(
            one.label,
            f"Metadata not found for TVIEW: {one.entity}. "
            + (
                "Writes to tables that it maps fail (42704); others no longer reach it."
                if delta
                else "Writes to what it reads no longer reach it, silently."
                if one.certain
                else "The table has the name and the columns of a TVIEW's, and nothing keeps it up to "
                "date."
                if one.plain
                else "The table has the shape of a TVIEW's, and nothing keeps it up to date."
            ),
            severity=Severity.CRITICAL if one.certain else Severity.WARNING,
            effect=Effect.WRITES_FAIL if delta else Effect.RISK if one.plain else Effect.ROWS_WRONG,
            title=f"Metadata not found for TVIEW: {one.entity}",
            affects=affects,
            evidence=_evidence(context, one),
            remedy=_remedy(context, one, affects),
        )


def _affects(context: Context, one: Lost) -> tuple[str, ...]:
    """It and all that reads it, TVIEWs that are lost as well among them."""
    if one.table is None:
        return ()
    by_view = {other.view.oid: other for other in lost(context) if other.view and other.table}
    found = {one.label: None}
    pending = [one.table.oid]
    while pending:
        for oid in context.edges.downstream([pending.pop()]):
            other, tview = by_view.get(oid), context.snapshot.tview_by_table.get(oid)
            if tview:
                found.setdefault(tview.label)
            elif other and other.table and other.label not in found:
                found[other.label] = None
                pending.append(other.table.oid)
    return tuple(found)


def _evidence(context: Context, one: Lost) -> Iterator[dict[str, object]]:
    yield {"entity": one.entity, "registered": "no"}
    if one.view:
        yield {"backing view": one.view.qualified}
    for relation in sorted({t.relation for t in one.triggers}):
        kinds = sorted({str(t.kind) for t in one.triggers if t.relation == relation})
        yield {"triggers": " ".join(kinds), "on": context.snapshot.name_of(relation)}
    if one.plain and one.table:
        yield {
            "table": one.table.qualified,
            "columns": ", ".join(c.name for c in one.table.columns),
        }
    elif not one.certain and one.table:
        yield {"table": one.table.qualified, "options": ", ".join(one.table.options)}


def _remedy(context: Context, one: Lost, affects: tuple[str, ...]) -> Remedy:
    if not context.dialect.acts:
        return Remedy(note="This release can only be looked at: upgrade it first.")
    if one.table and one.view:
        return _register(context, one, affects)
    if one.view and one.view.definition:
        return Remedy(
            sql=(
                TIMEOUT,
                "BEGIN;",
                f"DROP VIEW {one.view.qualified};",
                *_drop_triggers(context, one),
                *registering.create_for(
                    one.view.owner, one.entity, _table_of(one), one.view.definition, {}
                ),
                "COMMIT;",
            ),
            role="superuser",
            locks=(f"ACCESS EXCLUSIVE on {one.view.qualified}", *_dropping(context, one)),
            note="Its table is gone: this creates it anew from the view, as the property of the view's "
            "owner and filled with no more than that role's rights. Grants on it, and options "
            "other than the defaults, have to be given again.",
        )
    if one.table is None:
        return Remedy(
            sql=(TIMEOUT, *_drop_triggers(context, one)),
            role="owner of the tables",
            locks=_dropping(context, one),
            note="Neither its table nor its backing view is there: only its triggers are left.",
        )
    if one.plain:
        return Remedy(
            command="pgtv repair metadata --from FILE",
            note="If it is meant to be a TVIEW (it may have been made while the library was not loaded), "
            "the SQL file or saved snapshot that defines it makes it one; its rows stay. If it is meant "
            "to be a plain table: pgtv doctor --write-baseline FILE accepts it.",
        )
    writes = (
        " To let writes through meanwhile, drop its triggers: "
        + " ".join(_drop_triggers(context, one))
        if one.triggers
        else ""
    )
    return Remedy(
        command="pgtv repair metadata --from FILE",
        note="Its backing view is gone, and the definition with it. A saved snapshot or an SQL file that "
        "defines the TVIEW brings it back; its table stays as it is." + writes,
    )


def _register(context: Context, target: Lost, affects: tuple[str, ...]) -> Remedy:
    """Rows for it and for the lost TVIEWs that it reads, which have to be known first."""
    schema, dialect = context.extschema, context.dialect
    chosen = _upstream(context, target)
    names = [one.label for one in chosen]
    roots = [Root(one.label, one.entity, one.label, _affects(context, one)) for one in chosen]
    rows = from_roots(context.snapshot, context.edges, dialect, roots, (*names, *affects))
    more = f" It reads {', '.join(names[:-1])}, registered before it." if names[1:] else ""
    return Remedy(
        sql=(
            TIMEOUT,
            "BEGIN;",
            PINNED,
            *(
                registering.insert(
                    dialect, schema, one.entity, one.table.qualified, one.view.qualified
                )
                for one in chosen
                if one.table and one.view
            ),
            *(dialect.reregister(name) for name in names),
            "COMMIT;",
            *rows.sql,
        ),
        role="superuser",
        locks=rows.locks,
        undo="\n".join(registering.delete(dialect, schema, one.entity) for one in reversed(chosen)),
        note=f"The rows missed meanwhile are brought. {rows.note} Options that only the row held "
        "(policies, declared indexes, group keys, type name) come back from a saved snapshot or an "
        f"SQL file: pgtv repair metadata --from FILE.{more}",
    )


def _upstream(context: Context, target: Lost) -> list[Lost]:
    """The lost TVIEWs that `target` reads, directly or not, in order, and itself last."""
    by_table = {one.table.oid: one for one in lost(context) if one.table and one.view}
    ordered: dict[str, Lost] = {}
    visiting: set[str] = set()

    def visit(one: Lost) -> None:
        if one.entity in visiting or one.view is None:
            return
        visiting.add(one.entity)
        for oid in relations_read(context, one.view.oid):
            if oid in by_table:
                visit(by_table[oid])
        ordered[one.entity] = one

    visit(target)
    return list(ordered.values())


def _dropping(context: Context, one: Lost) -> tuple[str, ...]:
    """The locks of _drop_triggers; a partition's triggers go with those of its root."""
    on = dict.fromkeys(context.snapshot.name_of(t.relation) for t in one.triggers)
    return tuple(f"ACCESS EXCLUSIVE on {name}" for name in on)


def _drop_triggers(context: Context, one: Lost) -> Iterator[str]:
    for trigger in one.triggers:
        if trigger.parent is None:
            on = context.snapshot.name_of(trigger.relation)
            yield f"DROP TRIGGER {ident(trigger.name)} ON {on};"


def _table_of(one: Lost) -> str:
    """The name that the table had, by that of its view."""
    schema = one.view.name.split("__tv_", 1)[0] if one.view else "public"
    return f"{ident(schema)}.{ident('tv_' + one.entity)}"


CHECK = Check(
    id="registration-missing",
    title="Metadata not found for a TVIEW",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "triggers"),
    consequence_of=("catalog-objects-missing",),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss="CREATE TABLE public.tv_guide (pk_guide bigint PRIMARY KEY, name text);"
        " CREATE VIEW public.public__tv_guide AS SELECT * FROM public.tv_guide;",
        break_=f"DELETE FROM {registering.META} WHERE entity IN ('customer', 'order');"
        " UPDATE public.tb_customer SET name = 'changed' WHERE pk_customer = 1;",
        object='"Sales Dept".tv_order',
    ),
)
