"""A trigger function of the extension is not the library's any more.

Meaning:
    CREATE OR REPLACE FUNCTION put other code under the name of one of the extension's trigger
    functions. All its triggers stand and fire, and do something else.

Impact:
    Writes reach no TVIEW that those triggers serve, silently, or whatever the new code does. The
    extension's health check looks at names and says OK.

Diagnosis:
    The language of the functions that the extension's triggers call.

Mitigation:
    Put the library's function back under the name, then refresh.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot, wanted = context.snapshot, context.dialect.trigger_language
    replaced: dict[str, set[str]] = {}
    languages: dict[str, str] = {}
    for trigger in snapshot.triggers:
        if wanted and trigger.kind and trigger.language not in (None, wanted):
            replaced.setdefault(trigger.function, set()).add(trigger.entity or "")
            languages[trigger.function] = str(trigger.language)
    for function, entities in replaced.items():
        tviews = [t for t in snapshot.tviews if t.entity in entities]
        affects, rows = context.affected(*(t.table_oid for t in tviews)), bring(context, tviews)
        name = function.removeprefix(f"{context.extschema}.")
        yield context.finding(
            function,
            f"{function} is code in {languages[function]} now, not the library's: what its "
            f"triggers did for {len(tviews)} TVIEWs is not done.",
            affects=affects,
            evidence=[
                {"function": function, "language": languages[function], "expected": str(wanted)}
            ],
            remedy=Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    context.dialect.restore_trigger_function(context.extschema, name),
                    *rows.sql,
                ),
                role="a superuser",
                locks=rows.locks,
                note=f"Keep the other code first (\\sf in psql). {rows.note}".rstrip(),
            ),
        )


CHECK = Check(
    id="trigger-function",
    title="A trigger function was replaced",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "triggers"),
    generations=("current",),
    provoke=Provoke(
        near_miss="CREATE FUNCTION public.pg_tview_trigger_handler() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';",
        break_="CREATE OR REPLACE FUNCTION tviews.pg_tview_trigger_handler() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1;",
    ),
)
