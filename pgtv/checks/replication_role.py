"""session_replication_role is set to replica, lastingly, somewhere.

Meaning:
    Sessions of a role, of this database, of the whole server or inside a function run with
    session_replication_role = replica (or local), as replication tools do while they load. A function
    whose text sets it does so too, and one that an event trigger runs at login for every session.

Impact:
    Under `replica` no trigger of a TVIEW fires and no event trigger either: writes succeed and reach
    no TVIEW, silently. `local` fires them.

Diagnosis:
    pg_settings, pg_db_role_setting, pg_proc.proconfig and the texts of SQL and PL/pgSQL functions. What
    a session that is open now has set for itself cannot be seen from another session, and is not
    covered.

Mitigation:
    Reset the setting; it counts for new sessions, so end the old ones. Then refresh the TVIEWs: which
    rows were missed is recorded nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import RoleSetting
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity

NAME = "session_replication_role"


def run(context: Context) -> Iterator[Finding]:
    settings = [
        s for s in context.snapshot.role_settings
        if s.name == NAME and s.value.strip("'\"").lower() == "replica"
    ]  # fmt: skip
    yield from _event_triggers_off(context)
    for setting in settings:
        if setting.in_text:
            yield from _in_text(context, str(setting.function))
            continue
        yield _finding(context, *_where(setting), evidence=setting.value)
    server = next((s for s in context.snapshot.settings if s.name == NAME), None)
    ours = {s.role for s in settings if not s.in_text} & {None, context.snapshot.server.user}
    if server and server.value == "replica" and server.source not in ("session", "client"):
        if server.source in ("database", "user", "database user") and ours:
            return  # what this very session inherited is reported above
        yield _finding(
            context, "(server)", f"every session (source: {server.source})",
            f"ALTER SYSTEM RESET {NAME};", "SELECT pg_reload_conf();", evidence="replica",
        )  # fmt: skip


def _in_text(context: Context, function: str) -> Iterator[Finding]:
    """A function that switches triggers off itself: for every session where it runs at login."""
    at_login = [
        e
        for e in context.snapshot.extension.event_triggers
        if e.event == "login" and e.enabled in "OA" and f"{e.function}()" == function
    ]
    for trigger in at_login:
        reset = f"ALTER EVENT TRIGGER {ident(trigger.name)} DISABLE;"
        who = f"every session that begins, by the event trigger {trigger.name}"
        found = _finding(context, f"event trigger {trigger.name}", who, reset, evidence=function)
        assert found.remedy
        decide = "It is somebody's own: ask what else it does before it is disabled."
        undo = f"ALTER EVENT TRIGGER {ident(trigger.name)} ENABLE;"
        yield replace(found, remedy=replace(found.remedy, decide=decide, undo=undo))
    if not at_login:
        yield context.finding(
            function,
            f"The text of {function} sets {NAME} to replica: what is written after it in the same "
            "transaction or session reaches no TVIEW.",
            severity=Severity.WARNING,
            affects=tuple(t.label for t in context.snapshot.tviews),
            evidence=[{"function": function, "sets": f"{NAME} = replica"}],
            remedy=Remedy(
                command="pgtv verify",
                role="the function's owner",
                note="The statement has to go from its text, or each call has to be followed by pgtv "
                "refresh --apply of what reads the tables that it writes. Where it never writes such "
                "tables, pgtv doctor --write-baseline FILE accepts it.",
            ),
        )


def _event_triggers_off(context: Context) -> Iterator[Finding]:
    """event_triggers = off (PostgreSQL 17): drops that cascade to a TVIEW leave its registration."""
    for setting in context.snapshot.role_settings:
        if setting.name != "event_triggers" or setting.value.lower() not in (
            "off",
            "false",
            "no",
            "0",
        ):
            continue
        object_, who, reset = _where(setting)
        yield context.finding(
            object_,
            f"In {who}, no event trigger fires: a drop that cascades to a TVIEW leaves a "
            "registration that points nowhere.",
            key="event_triggers",
            title="Event triggers are switched off",
            severity=Severity.WARNING,
            effect=Effect.RISK,
            evidence=[{"setting": "event_triggers", "value": setting.value, "for": who}],
            remedy=Remedy(sql=(reset,), role="a superuser", note="Open sessions keep the value."),
        )


def _where(setting: RoleSetting) -> tuple[str, str, str]:
    """The finding's object, who is concerned, and the statement that resets it."""
    if setting.function:
        return (
            setting.function, f"every call of {setting.function}",
            f"ALTER FUNCTION {setting.function} RESET {setting.name};",
        )  # fmt: skip
    database = f" IN DATABASE {ident(setting.database)}" if setting.database else ""
    if setting.role:
        return (
            setting.role + (f" in {setting.database}" if setting.database else ""),
            f"every session of role {setting.role}",
            f"ALTER ROLE {ident(setting.role)}{database} RESET {setting.name};",
        )
    if setting.database:
        return (
            setting.database, f"every session in database {setting.database}",
            f"ALTER DATABASE {ident(setting.database)} RESET {setting.name};",
        )  # fmt: skip
    return "(server)", "every session", f"ALTER ROLE ALL RESET {setting.name};"


def _finding(context: Context, object_: str, who: str, *reset: str, evidence: str) -> Finding:
    tviews = context.snapshot.tviews
    rows = bring(context, tviews)
    return context.finding(
        object_,
        f"In {who}, no trigger of a TVIEW fires: {NAME} is replica.",
        affects=tuple(t.label for t in tviews),
        evidence=[{"setting": NAME, "value": evidence, "for": who}],
        remedy=Remedy(
            sql=(
                "SET lock_timeout = '2s';",
                *reset,
                *rows.sql,
            ),
            role="a superuser",
            locks=rows.locks,
            note="Every TVIEW's rows are brought, since nothing tells which writes were missed: pgtv "
            f"verify says which ones differ. Sessions that are open keep the old value. {rows.note}",
        ),
    )


CHECK = Check(
    id="replication-role",
    title="Triggers are switched off by session_replication_role",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("role_settings", "settings"),
    provoke=Provoke(
        near_miss="ALTER ROLE shop_owner SET session_replication_role = local;"
        " CREATE FUNCTION public.loud() RETURNS void LANGUAGE plpgsql AS"
        " 'BEGIN /* never replica */ SET LOCAL session_replication_role = origin; END';"
        " CREATE FUNCTION public.asks() RETURNS boolean LANGUAGE plpgsql AS"
        " 'BEGIN IF current_setting(''session_replication_role'') = ''replica'' THEN RETURN true;"
        " END IF; RETURN false; END';"
        " CREATE FUNCTION public.unused() RETURNS event_trigger LANGUAGE plpgsql AS"
        " 'BEGIN SET session_replication_role = replica; END';",
        break_="ALTER ROLE shop_owner SET session_replication_role = replica;",
        object="shop_owner",
        undo="ALTER ROLE shop_owner RESET session_replication_role;",
    ),
)
