"""A user's trigger on a base table fires itself without end.

Meaning:
    A trigger's function does again, under no condition, what fired it: a row trigger for UPDATE
    updates the very row, one for INSERT inserts into its own table, a statement trigger runs a
    statement of its own kind on its own table.

Impact:
    Every such write sets off the next one, until it fails with SQLSTATE 54001 (stack depth, or the
    propagation depth of TVIEWs, whichever is reached first). Nothing is written.

Diagnosis:
    The text of PL/pgSQL functions of triggers without WHEN and without a list of columns. Only a text
    without any condition at all counts (no IF, CASE, LOOP, exception, or question about depth or
    settings), so what is reported does not end. Dynamic SQL, and loops over two tables or more,
    cannot be seen.

Mitigation:
    Let a BEFORE trigger assign to NEW instead of updating the row, or give the trigger a condition
    under which it stops. Disabling it lets writes through meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.spelled import relations_named
from pgtv.checks.trigger_faults import FIRES, SHARE_ROW_EXCLUSIVE, fires, timing
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for trigger in snapshot.triggers:
        relation = snapshot.by_oid.get(trigger.relation)
        if not trigger.repeats or not relation or trigger.kind or not fires(trigger):
            continue
        affects = context.affected(relation.oid)
        if (
            trigger.parent is not None
            or not affects
            or relation not in relations_named(snapshot, trigger.repeats)
        ):
            continue
        disable = f"ALTER TABLE {relation.qualified} DISABLE TRIGGER {ident(trigger.name)};"
        yield context.finding(
            relation.qualified,
            f"The trigger {trigger.name} on {relation.qualified} does again what fired it, under no "
            "condition: each such write sets off the next, until it fails with SQLSTATE 54001.",
            key=trigger.name,
            affects=affects,
            evidence=[
                {
                    "trigger": trigger.name, "timing": timing(trigger.type),
                    "function": trigger.function, "enabled": FIRES[trigger.enabled],
                    "writes": ", ".join(trigger.repeats),
                }
            ],
            remedy=Remedy(
                sql=("SET lock_timeout = '2s';", disable),
                role=f"the owner of {relation.qualified}, or a superuser",
                locks=(f"{SHARE_ROW_EXCLUSIVE} on {relation.qualified}",),
                undo=disable.replace("DISABLE", "ENABLE"),
                note="It is somebody's own, but no write that fires it succeeds: a BEFORE trigger that "
                "assigns to NEW does the same and ends.",
            ),
        )  # fmt: skip


CHECK = Check(
    id="trigger-endless",
    title="A trigger fires itself without end",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "triggers", "relations"),
    provoke=Provoke(
        near_miss="CREATE FUNCTION public.once() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.email NOT LIKE ''%.'' THEN UPDATE public.tb_customer SET email = email"
        " || ''.'' WHERE pk_customer = NEW.pk_customer; END IF; RETURN NULL; END';"
        " CREATE TRIGGER once AFTER UPDATE ON public.tb_customer"
        " FOR EACH ROW EXECUTE FUNCTION public.once();"
        " CREATE FUNCTION public.other() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE public.tb_customer SET email = email WHERE pk_customer = NEW.pk_customer;"
        " RETURN NULL; END';"
        " CREATE TRIGGER other AFTER INSERT OR UPDATE OF name ON public.tb_customer"
        " FOR EACH ROW EXECUTE FUNCTION public.other();",
        break_="CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE public.tb_customer AS c SET email = ''where; '' || c.email"
        " WHERE c.pk_customer = NEW.pk_customer; RETURN NULL; END';"
        " CREATE TRIGGER again AFTER UPDATE ON public.tb_customer"
        " FOR EACH ROW EXECUTE FUNCTION public.again();",
        object="public.tb_customer",
    ),
)
