"""A fixed search_path finds somebody's functions before the built-in ones of the same name.

Meaning:
    The search_path of a role or of this database names pg_catalog after another schema, and in that
    schema there is a function or operator with the name and the arguments of a built-in one.

Impact:
    In such sessions an unqualified name means the planted object. Definitions of TVIEWs that are
    created or replaced there are bound to it for good, and it runs with the rights of the TVIEW's owner
    at every refresh. TVIEWs that exist are not touched: they are bound already, and the extension
    itself runs under a path of its own.

Diagnosis:
    pg_db_role_setting, and pg_proc and pg_operator of the schemas before pg_catalog. A path that a
    session sets for itself cannot be seen.

Mitigation:
    Take pg_catalog out of the path, so that it comes first as it does by default, or drop the object.
    Then look which definitions use it: pg_depend of the backing views tells.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.lasting import target, who_resets
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for setting in context.snapshot.role_settings:
        if not setting.shadows:
            continue
        scope, reset = target(setting, "search_path")
        yield context.finding(
            scope,
            f"The search_path of {scope} finds {', '.join(setting.shadows[:3])}"
            f"{' …' if len(setting.shadows) > 3 else ''} before the built-in of that name: TVIEWs "
            "created there are bound to it.",
            evidence=[
                {"search_path": setting.value, "hides the built-in": name}
                for name in setting.shadows
            ],
            remedy=Remedy(
                sql=(reset,),
                role=who_resets(setting),
                undo=reset.replace("RESET search_path", f"SET search_path = {setting.value}"),
                note="Counts for new sessions. Where the path is needed, set it again without "
                "pg_catalog.",
            ),
        )


CHECK = Check(
    id="search-path-shadows",
    title="A search_path hides built-in functions",
    group="privileges",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("role_settings",),
    provoke=Provoke(
        near_miss="CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql IMMUTABLE"
        " AS 'SELECT ''planted'''; CREATE SCHEMA quiet;"
        " CREATE FUNCTION quiet.upper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';"
        ' ALTER ROLE shop_owner SET search_path = quiet, pg_catalog, public, "$user";',
        break_='ALTER ROLE shop_owner SET search_path = "$user", public, pg_catalog;',
        object="role shop_owner",
        undo="ALTER ROLE shop_owner RESET ALL;",
    ),
)
