"""session_replication_role is set to replica, lastingly, somewhere.

Meaning:
    Sessions of a role, of this database, of the whole server or inside a function run with
    session_replication_role = replica (or local), as replication tools do while they load.

Impact:
    Under `replica` no trigger of a TVIEW fires and no event trigger either: writes succeed and reach
    no TVIEW, silently. `local` fires them.

Diagnosis:
    pg_settings, pg_db_role_setting and pg_proc.proconfig. What a session that is open now has set for
    itself cannot be seen from another session, and is not covered.

Mitigation:
    Reset the setting; it counts for new sessions, so end the old ones. Then refresh the TVIEWs: which
    rows were missed is recorded nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import RoleSetting
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.trigger_faults import refresh_roots
from pgtv.finding import Effect, Finding, Remedy, Severity

NAME = "session_replication_role"


def run(context: Context) -> Iterator[Finding]:
    settings = [
        s for s in context.snapshot.role_settings
        if s.name == NAME and s.value.strip("'\"").lower() == "replica"
    ]  # fmt: skip
    yield from _event_triggers_off(context)
    for setting in settings:
        yield _finding(context, *_where(setting), evidence=setting.value)
    server = next((s for s in context.snapshot.settings if s.name == NAME), None)
    ours = {s.role for s in settings} & {None, context.snapshot.server.user}
    if server and server.value == "replica" and server.source not in ("session", "client"):
        if server.source in ("database", "user", "database user") and ours:
            return  # what this very session inherited is reported above
        yield _finding(
            context, "(server)", f"every session (source: {server.source})",
            f"ALTER SYSTEM RESET {NAME};", "SELECT pg_reload_conf();", evidence="replica",
        )  # fmt: skip


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
    return context.finding(
        object_,
        f"In {who}, no trigger of a TVIEW fires: {NAME} is replica.",
        affects=tuple(t.label for t in tviews),
        evidence=[{"setting": NAME, "value": evidence, "for": who}],
        remedy=Remedy(
            sql=(
                "SET lock_timeout = '2s';",
                *reset,
                *(context.dialect.refresh(t.label) for t in refresh_roots(context, tviews)),
            ),
            role="a superuser",
            locks=(f"ACCESS EXCLUSIVE on {', '.join(t.label for t in tviews)} (the refresh)",)
            if tviews
            else (),
            note="The refreshes cover every TVIEW, since nothing tells which writes were missed: "
            "pgtv verify says which ones differ. Sessions that are open keep the old value.",
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
        near_miss="ALTER ROLE shop_owner SET session_replication_role = local;",
        break_="ALTER ROLE shop_owner SET session_replication_role = replica;",
        object="shop_owner",
        undo="ALTER ROLE shop_owner RESET session_replication_role;",
    ),
)
