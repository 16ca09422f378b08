"""A write may reach more TVIEWs than the extension's limit allows.

Meaning:
    While it brings TVIEWs up to date, the extension counts each TVIEW that it refreshes for one
    statement and stops above its setting max_propagation_depth. In spite of the setting's name it is
    the number of TVIEWs reached that counts, not how deep they embed each other: N TVIEWs need a
    limit of N + 1.

Impact:
    A write that reaches all of them fails with SQLSTATE 54001 and is rolled back. Nothing is lost,
    but the table cannot be written that way.

Diagnosis:
    For each table the TVIEWs that read it, directly or through others, are counted and compared with
    the setting as new sessions get it, and as roles have it set for themselves.

Mitigation:
    Raise the setting. It protects from triggers that write back for ever; a limit some way above the
    number of TVIEWs does that too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgtv.catalog.dialects.base import SETTING_PREFIX, ident
from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.lasting import lasting
from pgtv.finding import Effect, Finding, Remedy, Severity

SETTING = SETTING_PREFIX + "max_propagation_depth"


def run(context: Context) -> Iterator[Finding]:
    yield from _of_roles(context)
    snapshot = context.snapshot
    value = snapshot.setting.get(SETTING)
    if value is None or not value.isdecimal():
        return
    limit = int(value)
    source = next((s.source for s in snapshot.settings if s.name == SETTING), "default")
    crowded = context.threshold("share") * limit
    for relation in snapshot.relations:
        if relation.kind not in "rp" or relation.oid in snapshot.tview_by_table:
            continue
        if relation.partition_of is not None:
            continue  # its root says it
        reached = context.affected(relation.oid)
        # one more than the TVIEWs reached, as measured on the real extension
        needed = len(reached) + 1
        if len(reached) < crowded and needed <= limit:
            continue
        fails = needed > limit
        yield context.finding(
            relation.qualified,
            f"A write to {relation.qualified} can reach {len(reached)} TVIEWs, which needs {SETTING} "
            f"of {needed}; it is {limit}."
            + (" Writes that reach them all fail with 54001." if fails else ""),
            severity=Severity.CRITICAL if fails else Severity.WARNING,
            effect=Effect.WRITES_FAIL if fails else Effect.RISK,
            affects=reached,
            evidence=[{"setting": SETTING, "value": limit, "from": source, "needed": needed}],
            remedy=_remedy(context, source, limit, max(100, 2 * needed)),
        )


def _of_roles(context: Context) -> Iterator[Finding]:
    """Limits of roles: sessions of others see nothing of them."""
    reached = {
        relation.qualified: context.affected(relation.oid)
        for relation in context.snapshot.relations
        if relation.kind in "rp" and relation.oid not in context.snapshot.tview_by_table
    }
    most = max(reached, key=lambda name: len(reached[name]), default=None)
    for found in lasting(context, SETTING):
        role = found.scope.startswith("role ")
        if most is None or not role or not found.value.isdecimal():
            continue
        if int(found.value) <= len(reached[most]):
            yield context.finding(
                found.scope,
                f"{SETTING} is {found.value} for {found.scope}, and a write to {most} can reach "
                f"{len(reached[most])} TVIEWs: it then fails with SQLSTATE 54001.",
                affects=reached[most],
                evidence=found.evidence,
                remedy=replace(found.remedy, role="superuser"),
            )


def _remedy(context: Context, source: str, limit: int, value: int) -> Remedy:
    if source in ("database", "user", "database user"):
        # these go before the server's configuration
        database = ident(context.snapshot.server.database)
        return Remedy(
            sql=(f"ALTER DATABASE {database} SET {SETTING} = {value};",),
            role="superuser",
            undo="ALTER DATABASE … SET with the value before",
            note="Reaches new sessions only."
            + (" A setting of the role goes before it." if "user" in source else ""),
        )
    return Remedy(
        sql=(f"ALTER SYSTEM SET {SETTING} = {value};", "SELECT pg_reload_conf();"),
        role="superuser",
        undo="ALTER SYSTEM "
        + (f"RESET {SETTING}" if source == "default" else f"SET {SETTING} = {limit}")
        + ";\nSELECT pg_reload_conf();",
        note="Holds for every database of the server, running sessions too.",
    )


CHECK = Check(
    id="propagation-limit",
    title="A write reaches more TVIEWs than the limit allows",
    group="graph",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations", "reads", "settings", "role_settings"),
    generations=("current",),
    thresholds={
        "share": Threshold(0.8, "share of the limit", "room for a few more TVIEWs before it fails")
    },
    provoke=Provoke(
        near_miss="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "
        + SETTING
        + " = 6', current_database()); END $$;",
        break_="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "
        + SETTING
        + " = 4', current_database()); END $$;",
        object="public.tb_category",
    ),
)
