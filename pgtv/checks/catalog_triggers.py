"""The extension's own triggers are missing, disabled or not its own any more.

Meaning:
    Besides triggers on base tables, the extension has two on its catalog table (one re-resolves OIDs
    of rows that a restore inserts, one tells other sessions of changes) and two event triggers (one
    cleans up after a drop that cascades to a TVIEW, one refuses a CREATE TABLE AS that the library
    did not see).

Impact:
    Nothing fails at once. Without the one on drops, DROP TABLE … CASCADE leaves registrations that
    point nowhere, and then writes fail with XX000. Without the one on changes, sessions that are open
    keep working from plans that are no longer true. Without the one on inserts, registrations that a
    restore brings back point at other relations.

Diagnosis:
    pg_trigger of the catalog table and pg_event_trigger, by name, function and state.

Mitigation:
    Enable them, or create them again and make the event trigger a member of the extension. Then look
    for registrations that went stale meanwhile: the checks on metadata do.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import EXTENSION, ident
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.trigger_faults import FIRES, SHARE_ROW_EXCLUSIVE
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    yield from _on_catalog(context)
    yield from _event_triggers(context)


def _on_catalog(context: Context) -> Iterator[Finding]:
    dialect, schema = context.dialect, context.extschema
    catalog = next(
        (r for r in context.snapshot.relations if r.schema == schema and r.name == dialect.meta),
        None,
    )
    if catalog is None:
        return
    meta = dialect.qualified_meta(schema)
    present = {t.name: t for t in context.snapshot.triggers_on.get(catalog.oid, [])}
    for name, made in dialect.meta_triggers.items():
        function = f"{schema}.{made.function}"
        trigger = present.get(name)
        sql: tuple[str, ...]
        create = (
            f"CREATE TRIGGER {ident(name)} {made.on.format(meta=meta)}\n"
            f"  EXECUTE FUNCTION {ident(schema)}.{ident(made.function)}();"
        )
        if trigger is None:
            state, sql, lock = "missing", (create,), SHARE_ROW_EXCLUSIVE
        elif trigger.function != function:
            drop = f"DROP TRIGGER {ident(name)} ON {meta};"
            state, lock = f"calls {trigger.function}", "ACCESS EXCLUSIVE"
            sql = ("BEGIN;", drop, create, "COMMIT;")
        elif trigger.enabled in "DR":
            state, lock = FIRES[trigger.enabled], SHARE_ROW_EXCLUSIVE
            sql = (f"ALTER TABLE {meta} ENABLE TRIGGER {ident(name)};",)
        else:
            continue
        yield _finding(
            context, f"{schema}.{dialect.meta}", name, state, function, sql,
            (f"{lock} on {meta}",), "the owner of the extension",
        )  # fmt: skip


def _event_triggers(context: Context) -> Iterator[Finding]:
    schema = context.extschema
    present = {t.name: t for t in context.snapshot.extension.event_triggers}
    for name, made in context.dialect.event_triggers.items():
        function = f"{schema}.{made.function}"
        trigger = present.get(name)
        again = (
            f"CREATE EVENT TRIGGER {ident(name)} {made.on}\n"
            f"  EXECUTE FUNCTION {ident(schema)}.{ident(made.function)}();",
            f"ALTER EXTENSION {EXTENSION} ADD EVENT TRIGGER {ident(name)};",
        )
        sql: tuple[str, ...]
        if trigger is None:
            state, sql = "missing", again
        elif trigger.function.replace('"', "") != function:
            state, sql = f"calls {trigger.function}", ()
        elif trigger.enabled in "DR":
            state = FIRES[trigger.enabled]
            sql = (f"ALTER EVENT TRIGGER {ident(name)} ENABLE;",)
        else:
            continue
        yield _finding(
            context, name, None, state, function, sql, (), "the owner of the event trigger"
        )


def _finding(
    context: Context,
    object_: str,
    key: str | None,
    state: str,
    function: str,
    sql: tuple[str, ...],
    locks: tuple[str, ...],
    role: str,
) -> Finding:
    name = key or object_
    return context.finding(
        object_,
        f"{name}, which the extension relies on: {state}.",
        key=key,
        evidence=[{"trigger": name, "expected": f"calls {function}", "found": state}],
        remedy=Remedy(
            sql=("SET lock_timeout = '2s';", *sql) if sql else (),
            role=role,
            locks=locks,
            undo=None,
            note="Registrations may have gone stale meanwhile: look again once it is cured."
            if sql
            else "Drop it from the extension, then create it anew: see the extension's own script.",
        ),
    )


CHECK = Check(
    id="catalog-triggers",
    title="The extension's own triggers",
    group="triggers",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("triggers", "relations", "event_triggers"),
    provoke=Provoke(
        near_miss="CREATE FUNCTION public.noted() RETURNS event_trigger LANGUAGE plpgsql"
        " AS 'BEGIN END'; CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION public.noted();"
        " ALTER EVENT TRIGGER mine DISABLE;",
        break_="SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname) FROM pg_event_trigger"
        " WHERE evtevent = 'sql_drop' AND evtname <> 'mine' \\gexec",
    ),
)
