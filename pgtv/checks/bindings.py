"""Which table and view belong to which registration, and the cures that put them together again.

Shared by the checks on metadata: nothing here is a check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pgtv.catalog.dialects import registering
from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Trigger, Tview
from pgtv.checks import locking
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Context, once
from pgtv.checks.roles import who_owns
from pgtv.finding import Remedy

TIMEOUT = "SET lock_timeout = '2s';"
PINNED = "SET LOCAL search_path = pg_catalog, pg_temp;"
GENERATIONS = ("current", "lab")
VIEW_IS_RIGHT = "This holds the backing view for right, which the rows follow."


@dataclass(frozen=True)
class Lost:
    """A TVIEW without registration, by what is left of it.

    certain: its backing view or its triggers stand; else only the shape of a table speaks for it, or,
    where not even that is the extension's (plain), its name and its columns.
    """

    entity: str
    table: Relation | None
    view: Relation | None
    triggers: tuple[Trigger, ...]
    plain: bool = False

    @property
    def certain(self) -> bool:
        return self.view is not None or bool(self.triggers)

    @property
    def label(self) -> str:
        return self.table.qualified if self.table else ident(f"tv_{self.entity}")


def lost(context: Context) -> list[Lost]:
    """TVIEWs that nothing registers, by entity."""
    found: list[Lost] = once(context, "lost_registrations", lambda: list(_lost(context)))
    return found


def _lost(context: Context) -> Iterator[Lost]:
    snapshot = context.snapshot
    registered = snapshot.tview_by_entity
    tables = {
        r.oid: r
        for r in snapshot.relations
        if r.kind in "rp"
        and r.name.startswith("tv_")
        and r.oid not in snapshot.tview_by_table
        and r.name[3:] not in registered
        and r.schema != context.extschema
    }
    views = {t.view_oid for t in snapshot.tviews}
    expected = {context.dialect.backing_view(t.schema, t.name): t for t in tables.values()}
    view_of: dict[int, Relation] = {}
    orphans: dict[str, Relation] = {}
    for view in snapshot.relations:
        if view.kind != "v" or view.oid in views or view.schema != context.extschema:
            continue
        table = expected.get(view.name) or expected.get(_shortened(view.name))
        if table and is_view_of(context, view, table):
            view_of[table.oid] = view
        elif "__tv_" in view.name and view.name.split("__tv_", 1)[1] not in registered:
            orphans[view.name.split("__tv_", 1)[1]] = view
    # the tv_ tables of another database may be replicated here, as plain tables
    replicated = {o for s in snapshot.subscriptions for o in s.relations}
    triggers: dict[str, list[Trigger]] = {}
    for trigger in snapshot.triggers:
        if trigger.entity is not None and trigger.entity not in registered:
            triggers.setdefault(trigger.entity, []).append(trigger)
    for table in sorted(tables.values(), key=lambda t: (t.oid not in view_of, t.qualified)):
        entity = table.name[3:]
        own = tuple(triggers.pop(entity, ()))
        if own or table.oid in view_of or has_shape(context, table, entity):
            yield Lost(entity, table, view_of.get(table.oid), own)
        elif table.oid not in replicated and has_columns(table, entity):
            yield Lost(entity, table, None, (), plain=True)
    # a row of another entity stands for it: see misnamed
    stands = {table.name[3:] for _, table in misnamed(context)}
    for entity in sorted({*triggers, *orphans} - stands):
        yield Lost(entity, None, orphans.get(entity), tuple(triggers.get(entity, ())))


def misnamed(context: Context) -> list[tuple[Tview, Relation]]:
    """Registrations under an entity that is not their table's, with that table.

    Table, key column and backing view agree on another entity, which nothing registers: so the
    catalog's word for it was changed, and not the table's name.
    """
    snapshot = context.snapshot
    found = []
    for tview in snapshot.tviews:
        table, view = snapshot.by_oid.get(tview.table_oid), snapshot.by_oid.get(tview.view_oid)
        if table is None or view is None or not table.name.startswith("tv_"):
            continue
        entity = table.name[3:]
        if (
            entity not in snapshot.tview_by_entity
            and any(c.name == f"pk_{entity}" for c in table.columns)
            and is_view_of(context, view, table)
        ):
            found.append((tview, table))
    return found


def _shortened(name: str) -> str:
    """What remains of the full name in a name that the extension shortened."""
    return name.encode()[:54].decode(errors="ignore")


def is_view_of(context: Context, view: Relation, table: Relation) -> bool:
    """Whether `view` bears the name of the backing view of `table`."""
    expected = context.dialect.backing_view(table.schema, table.name)
    if view.name == expected:
        return True
    shortened = len(f"{table.schema}__{table.name}".encode()) > 63
    return shortened and len(view.name.encode()) == 63 and view.name.startswith(expected)


def has_shape(context: Context, table: Relation, entity: str) -> bool:
    """Whether a table looks as only the extension makes them.

    Its key `pk_<entity>` is unique, nothing inherits, and it has the fillfactor that the extension
    always sets: people who call a plain table tv_something hardly set one.
    """
    key = f"pk_{entity}"
    return (
        table.kind == "r"
        and table.partition_of is None
        and any(o.startswith("fillfactor=") for o in table.options)
        and any(c.name == key for c in table.columns)
        and any(
            i.columns == (key,) and i.unique for i in context.snapshot.indexes_on.get(table.oid, ())
        )
    )


def has_columns(table: Relation, entity: str) -> bool:
    """Whether a table named tv_<entity> has a TVIEW's two columns: its key, and the JSON in `data`."""
    types = {c.name: c.type for c in table.columns}
    return (
        table.kind == "r"
        and table.partition_of is None
        and f"pk_{entity}" in types
        and types.get("data") in ("json", "jsonb")
    )


def views_read(context: Context, view: int) -> list[int]:
    """OIDs of `view` and of the plain views that it reads, at any depth; nearest first."""
    snapshot = context.snapshot
    seen = {view: None}
    queue = [view]
    while queue:
        for read in snapshot.reads_of.get(queue.pop(0), ()):
            relation = snapshot.by_oid.get(read.relation or 0)
            if relation and relation.kind == "v" and relation.oid not in seen:
                seen[relation.oid] = None
                queue.append(relation.oid)
    return list(seen)


def relations_read(context: Context, view: int) -> dict[int, bool]:
    """OIDs of what is no plain view and `view` reads through plain views; True: a column of it."""
    snapshot = context.snapshot
    found: dict[int, bool] = {}
    for reader in views_read(context, view):
        for read in snapshot.reads_of.get(reader, ()):
            relation = snapshot.by_oid.get(read.relation or 0)
            if relation and relation.kind != "v":
                found[relation.oid] = found.get(relation.oid, False) or bool(read.columns)
    return found


def argument(tview: Tview) -> str:
    """The name under which the extension's functions find the TVIEW."""
    if tview.table_name and tview.name == f"tv_{tview.entity}":
        return tview.table_name
    return registering.argument(None, tview.entity)


def shown(name: str) -> str:
    """A quoted name without the quotes that PostgreSQL would leave out too."""
    return re.sub(r'"([a-z_][a-z0-9_]*)"', r"\1", name)


def upstream_first(context: Context, tviews: Iterable[Tview]) -> list[Tview]:
    """In the order in which they have to be re-registered."""
    chosen = {t.table_oid: t for t in tviews}
    ordered: dict[int, Tview] = {}
    for tview in chosen.values():
        for oid in reversed(context.edges.upstream([tview.table_oid])):
            if oid in chosen:
                ordered.setdefault(oid, chosen[oid])
    return list(ordered.values())


def reregister(
    context: Context,
    tview: Tview,
    *first: str,
    refresh: bool,
    note: str = "",
    refreshed: Sequence[str] = (),
    locks: Sequence[str] = (),
    name: str | None = None,
) -> Remedy:
    """Statements of one transaction, then re-register, then the rows where they may be wrong.

    refreshed: the TVIEWs that the refresh rewrites, where the catalog does not tell them. locks: those
    of the first statements. name: how the extension finds the TVIEW after `first`, where they change it.
    """
    dialect = context.dialect
    if not dialect.acts:
        return Remedy(note="This release can only be looked at: upgrade it first.")
    affects = refreshed or context.affected(tview.table_oid) or (tview.label,)
    called = name or argument(tview)
    again = dialect.reregister(called)
    body = (TIMEOUT, "BEGIN;", *first, again, "COMMIT;") if first else (TIMEOUT, again)
    rows = bring(context, [tview], called=called, affects=affects) if refresh else None
    return Remedy(
        sql=(*body, *(rows.sql if rows else ())),
        role="superuser"
        if first
        else who_owns(
            context,
            (tview.table_oid, *locking.new_triggers_on(context, tview)),
            f"owner of {tview.label}",
        ),
        locks=tuple(
            dict.fromkeys(
                (
                    *locks,
                    *locking.of_reregister(context, tview),
                    *(rows.locks if rows else ()),
                )
            )
        ),
        note=" ".join(filter(None, (note, rows.note if rows else ""))) or None,
    )


def store_the_views(context: Context, tview: Tview, view: Relation, note: str) -> Remedy:
    """The query of the backing view, which the rows follow, becomes the definition."""
    text = registering.definition_of_view(
        context.dialect, context.extschema, tview.entity, view.qualified
    )
    return reregister(context, tview, PINNED, text, refresh=False, note=note)


def recreate_view(context: Context, tview: Tview, table: Relation, *, drop: str = "") -> Remedy:
    """The backing view made of the stored definition, owned and granted as the table is.

    drop: the qualified name of the view to drop first.
    """
    schema, dialect = context.extschema, context.dialect
    name = f"{ident(schema)}.{ident(dialect.backing_view(table.schema, table.name))}"
    readers = sorted(
        {
            g.grantee
            for g in context.snapshot.grants
            if g.relation == table.oid and g.privilege == "SELECT"
        }
    )
    return reregister(
        context,
        tview,
        *((f"DROP VIEW {drop};",) if drop else ()),
        f"SET LOCAL search_path = {', '.join(dict.fromkeys((shown(ident(table.schema)), 'public')))};",
        f"CREATE VIEW {name} AS\n{tview.definition.strip()}\n;",
        f"ALTER VIEW {name} OWNER TO {ident(table.owner)};",
        *(f"GRANT SELECT ON {name} TO {'PUBLIC' if r == 'PUBLIC' else ident(r)};" for r in readers),
        registering.rebind(dialect, schema, tview.entity, view=name),
        refresh=True,
        locks=[f"ACCESS EXCLUSIVE on {n}" for n in sorted({drop or shown(name), shown(name)})],
        note="The query is the definition in the catalog; should it fail, because names in it are "
        "old, take it from a saved snapshot or an SQL file: pgtv repair metadata --from FILE.",
    )
