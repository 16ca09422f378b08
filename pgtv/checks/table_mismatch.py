"""The table of a TVIEW is gone, is another relation, or was renamed past the extension.

Meaning:
    A catalog row holds the OID of the TVIEW's table. That OID belongs to no relation, to something
    that is no table, to a table of another name, or the table was renamed; or the row itself was
    given another entity than its table, key and backing view have.

Impact:
    Without its table, or with another TVIEW's in its place, writes to what the TVIEW reads fail
    (SQLSTATE XX000 or 42703); with a copy of it they succeed, and bring the copy instead of the
    TVIEW. With its own table under another name rows are kept right, but re-registering, updates of
    the extension and functions called by the table's name fail.

Diagnosis:
    The OID is looked up in pg_class; the table has to be called `tv_<entity>`.

Mitigation:
    Where a table of the right name stands unregistered, the row is bound to it by name,
    re-registered and refreshed. Where the table is gone, the TVIEW is dropped and created anew from
    the definition and the options in its row, as the property of the backing view's owner and filled
    with no more than that role's rights; grants on the old table have to be given again. Where the
    backing view is gone too, nobody knows the owner: a person has to decide who runs it. Where only
    the entity in the row is another one, it is put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgtv.catalog.dialects import registering
from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Tview
from pgtv.checks.bindings import GENERATIONS, TIMEOUT, misnamed, reregister, shown
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import if_reached
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    by_oid = context.snapshot.by_oid
    other_name = misnamed(context)
    yield from (_misnamed(context, t, its) for t, its in other_name)
    for tview in context.snapshot.tviews:
        table = by_oid.get(tview.table_oid)
        if table and table.kind == "r" and table.name == f"tv_{tview.entity}":
            continue
        if any(t is tview for t, _ in other_name):
            continue
        candidate = _candidate(context, tview)
        if (
            table
            and candidate is None
            and any(f"tv_{t.entity}" == table.name for t in _sharing(context, tview))
        ):
            continue  # a second row for another TVIEW's table: entity-duplicate
        view = by_oid.get(tview.view_oid)
        key = f"pk_{tview.entity}"
        renamed = (
            table is not None
            and candidate is None
            and table.kind == "r"
            and len(_sharing(context, tview)) == 1
            and any(c.name in (key, *tview.identity) for c in table.columns)
        )
        copy = bool(candidate and table and table.kind == "r" and _holds(table, candidate))
        is_now = f"{table.qualified}, relkind {table.kind}" if table else "nothing"
        name = candidate.qualified if candidate else shown(_name(tview, view))
        yield context.finding(
            name,
            f"The catalog says that the table of TVIEW {tview.entity} has OID {tview.table_oid}, "
            f"which is {is_now}. "
            + (
                "Its rows are kept right, but re-registering it and updating the extension fail."
                if renamed
                else f"What is written to what it reads is brought there, and no more to {name}."
                if copy
                else "Writes to what it reads fail."
            ),
            severity=Severity.WARNING if renamed else Severity.CRITICAL,
            effect=Effect.RISK
            if renamed
            else Effect.ROWS_WRONG
            if copy
            else if_reached(context, tview),
            affects=_affects(context, tview, candidate),
            evidence=[
                {"entity": tview.entity, "table_oid": tview.table_oid, "is": is_now},
                {"table named so": candidate.qualified if candidate else "none"},
            ],
            remedy=_remedy(context, tview, table if renamed else None, candidate, view),
        )


def _misnamed(context: Context, tview: Tview, table: Relation) -> Finding:
    schema, dialect = context.extschema, context.dialect
    entity = table.name[3:]
    bound = reregister(
        context,
        tview,
        registering.rename(dialect, schema, tview.entity, entity),
        refresh=True,
        name=table.qualified,
    )
    return context.finding(
        table.qualified,
        f"The catalog calls the TVIEW of {table.qualified} {tview.entity}. Its key, its backing view "
        f"and its triggers say {entity}: writes find no TVIEW of that name, or fail.",
        key=tview.entity,
        affects=context.affected(table.oid),
        evidence=[{"entity": tview.entity, "table": table.qualified, "key": f"pk_{entity}"}],
        remedy=bound,
    )


def _holds(table: Relation, candidate: Relation) -> bool:
    """Whether rows of `candidate` could be written to `table`, as those of a copy."""
    return {c.name for c in candidate.columns} <= {c.name for c in table.columns}


def _candidate(context: Context, tview: Tview) -> Relation | None:
    """The unregistered table that bears the TVIEW's name."""
    snapshot = context.snapshot
    named = [
        r
        for r in snapshot.relations
        if r.kind == "r" and r.name == f"tv_{tview.entity}" and r.oid not in snapshot.tview_by_table
    ]
    view = snapshot.by_oid.get(tview.view_oid)
    for table in named:
        if view and context.dialect.backing_view(table.schema, table.name) == view.name:
            return table
    return named[0] if len(named) == 1 else None


def _affects(context: Context, tview: Tview, candidate: Relation | None) -> tuple[str, ...]:
    """What reads the table that it should have, and what reads the one that it has."""
    if candidate is None:
        return context.affected(tview.table_oid) or (tview.label,)
    reached = (candidate.qualified, *context.affected(candidate.oid, tview.table_oid))
    return tuple(dict.fromkeys(reached))


def _sharing(context: Context, tview: Tview) -> list[Tview]:
    return [t for t in context.snapshot.tviews if t.table_oid == tview.table_oid]


def _name(tview: Tview, view: Relation | None) -> str:
    """The name that the table had, as far as the backing view's still tells its schema."""
    name = ident(f"tv_{tview.entity}")
    if view and "__tv_" in view.name:
        return f"{ident(view.name.split('__tv_', 1)[0])}.{name}"
    return name


def _remedy(
    context: Context,
    tview: Tview,
    renamed: Relation | None,
    candidate: Relation | None,
    view: Relation | None,
) -> Remedy:
    schema, dialect = context.extschema, context.dialect
    if candidate:
        others = [t for t in _sharing(context, tview) if t is not tview]
        bound = reregister(
            context,
            tview,
            registering.rebind(dialect, schema, tview.entity, table=candidate.qualified),
            refresh=True,
            refreshed=_affects(context, tview, candidate),
        )
        # what was written to the other TVIEW's table in its name
        more = bring(context, others)
        return (
            replace(
                bound,
                sql=(*bound.sql, *more.sql),
                locks=tuple(dict.fromkeys((*bound.locks, *more.locks))),
            )
            if others
            else bound
        )
    if renamed:
        return Remedy(
            sql=(
                TIMEOUT,
                f"ALTER TABLE {renamed.qualified} RENAME TO {ident('tv_' + tview.entity)};",
            ),
            role=f"owner of {renamed.qualified} with CREATE on the extension's schema",
            locks=(f"ACCESS EXCLUSIVE on {renamed.qualified}",),
            undo=f"ALTER TABLE {ident(renamed.schema)}.{ident('tv_' + tview.entity)}"
            f" RENAME TO {ident(renamed.name)};",
            note="Or drop the TVIEW and create it under its new name, with pk_<entity> to match.",
        )
    if tview.table_oid in context.snapshot.by_oid:
        # Dropping the TVIEW through the extension would drop the table that the row points at,
        # which is somebody else's.
        return Remedy(
            sql=(
                TIMEOUT,
                registering.delete(dialect, schema, tview.entity),
            ),
            role="superuser",
            note="Forgets the registration; the table that it points at is left alone, and so are "
            "triggers that carry its name (see trigger-orphaned). If the TVIEW is still wanted, create "
            "it again from its definition.",
            decide="It forgets a TVIEW.",
        )
    name = _name(tview, view)
    target = name if "." in name else f"public.{name}"
    create = not _exists_schema(context, target)
    options = tview.options or registering.options_of(tview.raw)
    owner = view.owner if view and view.kind == "v" else None
    return Remedy(
        sql=(
            TIMEOUT,
            "BEGIN;",
            dialect.drop_tview(registering.argument(None, tview.entity)),
            *(
                (
                    f"CREATE SCHEMA IF NOT EXISTS {target.removesuffix('.' + ident(f'tv_{tview.entity}'))};",
                )
                if create
                else ()
            ),
            *(
                registering.create_for(owner, tview.entity, target, tview.definition, options)
                if owner
                else (registering.create(target, tview.definition, options),)
            ),
            "COMMIT;",
        ),
        role="superuser" if owner else "the role that is to own it",
        note="The table and its rows are gone: this creates them anew from the definition. "
        + (
            "They belong to the owner of the backing view; grants"
            if owner
            else "Its owner becomes the role that runs this; grants"
        )
        + " and indexes of its own have to be made again.",
        decide=None
        if owner
        else "Whose it was is not known, for its backing view is gone too: it becomes the property of"
        " the role that runs this, and its definition runs with that role's rights.",
    )


def _exists_schema(context: Context, qualified: str) -> bool:
    return any(qualified.startswith(f"{ident(r.schema)}.") for r in context.snapshot.relations)


CHECK = Check(
    id="table-mismatch",
    title="A TVIEW's table is not what the catalog says",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss="CREATE SCHEMA other; CREATE TABLE other.tv_customer (pk_customer bigint);",
        break_=f"UPDATE {registering.META} SET table_oid = 'public.tv_category'"
        " WHERE entity = 'customer';",
        object="public.tv_customer",
    ),
)
