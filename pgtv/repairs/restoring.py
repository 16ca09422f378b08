"""The transaction that registers one TVIEW as a source holds it; what is there decides its statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pgtv.catalog import dialects
from pgtv.catalog.dialects import registering
from pgtv.catalog.dialects.base import Dialect, ident, literal
from pgtv.catalog.model import Relation, Snapshot
from pgtv.plan import Step
from pgtv.repairs.registered import Registration

CANDIDATE = "pgtv_candidate"  # a temporary view


@dataclass(frozen=True)
class Now:
    """The database to repair, by names."""

    snapshot: Snapshot
    dialect: Dialect
    schema: str
    relations: Mapping[tuple[str, str], Relation]

    @property
    def major(self) -> int:
        return self.snapshot.server.version_num // 10000

    def table(self, r: Registration) -> Relation | None:
        found = self.relations.get((r.schema, r.name))
        return found if found and found.kind == "r" else None

    def view_name(self, r: Registration) -> str:
        return r.view or self.dialect.backing_view(r.schema, r.name)

    def view(self, r: Registration) -> Relation | None:
        return self.relations.get((self.schema, self.view_name(r)))


def look(snapshot: Snapshot) -> Now:
    dialect = dialects.named(snapshot.extension.generation)
    schema = snapshot.extension.schema or dialect.schema or "public"
    return Now(snapshot, dialect, schema, snapshot.by_name)


def same_query(now: Now, view: Relation, wanted: Registration) -> bool:
    """Whether a standing view is known to be the one wanted; unknown counts as the same.

    Texts tell only when one major release printed both.
    """
    if view.definition is None or not wanted.qualified or wanted.major != now.major:
        return True
    return view.definition.split() == wanted.query.split()


def step(now: Now, r: Registration, decided: frozenset[str]) -> Step:
    table = now.table(r)
    if table is None:
        return _anew(now, r)
    dialect, schema = now.dialect, now.schema
    view = now.view(r)
    name = f"{ident(schema)}.{ident(now.view_name(r))}"
    if view is not None and not r.qualified and r.entity not in decided:
        r = replace(r, query=view.definition or "", qualified=True)  # compared in the transaction
        compared = _compare(r.text, r.schema, name)
    else:
        compared = []
    tview = now.snapshot.tview_by_entity.get(r.entity)
    statements = ["BEGIN;"]
    taken = [
        t.entity
        for t in now.snapshot.tviews
        if t.table_oid == table.oid and t.entity != r.entity and t.name != f"tv_{t.entity}"
    ]
    statements += [registering.delete(dialect, schema, entity) for entity in taken]
    statements += compared
    if view is None or not _stands(now, view, r, decided=r.entity in decided):
        if view is not None:
            statements.append(f"DROP VIEW {name};")
        path = "pg_catalog, pg_temp" if r.qualified else f"{ident(r.schema)}, public"
        statements += [f"SET LOCAL search_path = {path};", f"CREATE VIEW {name} AS\n{r.query}\n;"]
        statements.append("SET LOCAL search_path = pg_catalog, pg_temp;")
        if r.columns is None:
            statements.append(_fits(name, table))
        statements += _belongs(now, r, table, name)
    else:
        statements.append("SET LOCAL search_path = pg_catalog, pg_temp;")
    statements += [
        registering.restore(
            dialect, schema, r.entity, table.qualified, name, r.text, r.row,
            tview.raw if tview else {},
        ),
        dialect.reregister(table.qualified),
        "COMMIT;",
    ]  # fmt: skip
    return Step(
        phase="registration",
        title=f"Register {table.qualified} as in {r.origin}",
        statements=tuple(statements),
        role="superuser",
        locks=(_writers_wait(r) + ", where triggers are missing",),
        note="Rows are not touched here. Writes missed meanwhile are brought by the last step.",
        tviews=(table.qualified,),
    )


def _writers_wait(r: Registration) -> str:
    return f"SHARE ROW EXCLUSIVE on {', '.join(r.tables) or 'the tables that it reads'}"


def _stands(now: Now, view: Relation, r: Registration, *, decided: bool) -> bool:
    """Whether the standing view can be kept: nobody contradicts it, or it is what was decided."""
    if view.kind != "v" or not r.qualified:
        return False
    return same_query(now, view, r) and not (decided and r.major != now.major)


def _compare(query: str, schema: str, view: str) -> list[str]:
    """Refuses a definition in words other than the server's that is not the standing view's."""
    return [
        f"SET LOCAL search_path = {ident(schema)}, public;",
        f"CREATE TEMP VIEW {CANDIDATE} AS\n{query}\n;",
        "SET LOCAL search_path = pg_catalog, pg_temp;",
        "DO $same$ BEGIN\n"
        f"  IF pg_catalog.pg_get_viewdef('pg_temp.{CANDIDATE}'::regclass)\n"
        f"    <> pg_catalog.pg_get_viewdef({literal(view)}::regclass)\n"
        "  THEN RAISE EXCEPTION 'two sources define it, and they disagree: the backing view as it "
        "stands, and the file'\n"
        "    USING HINT = 'Say which is right: pgtv repair metadata … --definition FILE';\n"
        "  END IF;\nEND $same$;",
        f"DROP VIEW pg_temp.{CANDIDATE};",
    ]


def _fits(view: str, table: Relation) -> str:
    """Refuses a definition whose columns the table lacks: written so, every write would fail."""
    return (
        "DO $fits$ BEGIN\n"
        "  IF EXISTS (SELECT attname FROM pg_catalog.pg_attribute WHERE attnum > 0\n"
        f"               AND attrelid = {literal(view)}::regclass\n"
        "             EXCEPT SELECT attname FROM pg_catalog.pg_attribute WHERE attnum > 0\n"
        f"               AND NOT attisdropped AND attrelid = {literal(table.qualified)}::regclass)\n"
        "  THEN RAISE EXCEPTION 'the definition gives columns that its table does not have'\n"
        "    USING ERRCODE = 'undefined_column',\n"
        "    HINT = 'Take the definition that the table was made with.';\n"
        "  END IF;\nEND $fits$;"
    )


def _belongs(now: Now, r: Registration, table: Relation, view: str) -> list[str]:
    """The view's owner, readers and comment: those of the table, as the extension keeps them."""
    readers = {
        g.grantee
        for g in now.snapshot.grants
        if g.relation == table.oid and g.privilege == "SELECT"
    }
    return [
        f"ALTER VIEW {view} OWNER TO {ident(table.owner)};",
        *(f"GRANT SELECT ON {view} TO {_role(who)};" for who in sorted(readers)),
        *([f"COMMENT ON VIEW {view} IS {literal(r.comment)};"] if r.comment else []),
    ]


def _role(name: str) -> str:
    return "PUBLIC" if name == "PUBLIC" else ident(name)


def owner_of(now: Now, r: Registration) -> str | None:
    """Whose a TVIEW without table was: the source says it, or the backing view does."""
    view = now.view(r)
    return r.owner or (view.owner if view and view.kind == "v" else None)


def _anew(now: Now, r: Registration) -> Step:
    """The table is gone: nothing is left to keep, so the extension makes it and fills it."""
    view = now.view(r)
    statements = [
        "BEGIN;",
        registering.delete(now.dialect, now.schema, r.entity),
    ]
    if view is not None:
        statements.append(f"DROP VIEW {view.qualified};")
    path = "pg_catalog, pg_temp" if r.qualified else f"{ident(r.schema)}, public"
    owner = owner_of(now, r)
    assert owner is not None  # see registration.restore
    statements += [
        f"SET LOCAL search_path = {path};",
        *registering.create_for(owner, r.entity, r.table, r.query, r.options),
        "SET LOCAL search_path = pg_catalog, pg_temp;",
    ]
    statements += [
        f"GRANT SELECT ON {r.table} TO {_role(who)}{' WITH GRANT OPTION' if grantable else ''};"
        for who, grantable in r.readers
    ]
    statements.append("COMMIT;")
    return Step(
        phase="registration",
        title=f"Create {r.table} anew, as in {r.origin}",
        statements=tuple(statements),
        role="superuser",
        locks=(_writers_wait(r),),
        note="Its table is gone with its rows: it is created from the definition and filled. Indexes, "
        "policies and grants of its own other than SELECT have to be made again.",
        tviews=(r.table,),
    )
