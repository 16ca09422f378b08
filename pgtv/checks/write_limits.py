"""A limit of the extension is so low that ordinary statements fail.

Meaning:
    Two settings bound what one statement may set off: max_queue_size, the rows of TVIEWs that wait
    for their refresh, and max_refresh_rows, the rows that one refresh writes (0: no limit). One of
    them is lower than what ordinary statements need.

Impact:
    Statements that change more rows fail with SQLSTATE 54000 and are rolled back. Nothing is lost.

Diagnosis:
    Both settings as a new session of this database gets them.

Mitigation:
    Raise the setting, or reset it to its default. As a guard against mistakes a limit should lie well
    above the largest statement that is meant.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import SETTING_PREFIX, ident
from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity

_LIMITS = ("max_queue_size", "max_refresh_rows")


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    least = int(context.threshold("rows"))
    for setting in snapshot.settings:
        name = setting.name.removeprefix(SETTING_PREFIX)
        if name == setting.name or name not in _LIMITS:
            continue
        if not setting.value or not setting.value.isdecimal() or not 0 < int(setting.value) < least:
            continue
        if setting.source in ("database", "user", "database user"):
            # these go before the server's configuration
            database = ident(snapshot.server.database)
            sql: tuple[str, ...] = (f"ALTER DATABASE {database} RESET {setting.name};",)
            note = "Reaches new sessions only. A setting of a role goes before it."
        else:
            sql = (f"ALTER SYSTEM RESET {setting.name};", "SELECT pg_reload_conf();")
            note = "Holds for every database of the server, running sessions too."
        yield context.finding(
            "(database)",
            f"{setting.name} is {setting.value}: a statement that reaches more rows of TVIEWs fails "
            "with SQLSTATE 54000.",
            key=name,
            affects=tuple(t.label for t in snapshot.tviews),
            evidence=[{"setting": setting.name, "value": setting.value, "from": setting.source}],
            remedy=Remedy(
                sql=sql,
                role="superuser",
                undo="the same with SET and the value before",
                note=note,
            ),
        )


CHECK = Check(
    id="write-limits",
    title="A limit is too low for ordinary statements",
    group="graph",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "settings"),
    generations=("current",),
    thresholds={
        "rows": Threshold(
            1000, "rows", "a statement that changes a thousand rows is an ordinary one"
        )
    },
    provoke=Provoke(
        near_miss="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "
        + SETTING_PREFIX
        + "max_refresh_rows = 5000', current_database()); END $$;",
        break_="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "
        + SETTING_PREFIX
        + "max_refresh_rows = 10', current_database()); END $$;",
        object="(database)",
    ),
)
