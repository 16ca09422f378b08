"""A trigger of a TVIEW is there and enabled, but is not the one that the TVIEW needs.

Meaning:
    A trigger with the right function and argument fires at other times, for other events or rows, or
    later than it has to: another tgtype, a WHEN condition, UPDATE OF columns, a deferrable constraint
    trigger, other transition tables, or a flush trigger renamed so that it fires too early.

Impact:
    Depends on the property, and the finding says which: writes fail (39P01 for the wrong level, 42P01
    for missing transition tables, 55000 where nothing flushes), or rows are missed silently. The
    extension's own health check compares function and argument only and reports all of these as
    healthy.

Diagnosis:
    pg_trigger's tgtype, tgqual, tgattr, tgdeferrable, tginitdeferred, tgoldtable, tgnewtable and
    tgname, against what the plan asks for.

Mitigation:
    Drop the trigger and re-register the TVIEW in one transaction: the extension creates it anew.
    Re-registering alone leaves a trigger with the right function and tgtype as it is. Then refresh
    where rows may have been missed.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import TriggerShape
from pgtv.catalog.model import Trigger
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import Expected, expected_triggers, matches, misshapen
from pgtv.checks.trigger_faults import Fault, event_effect, fires, report, timing, unflushed
from pgtv.finding import Effect, Finding, Severity

_ROW, _BEFORE = 1, 2


def run(context: Context) -> Iterator[Finding]:
    yield from report(
        context,
        _faults(context),
        "is not as the extension makes it",
        "are not as the extension makes them",
    )


def _faults(context: Context) -> Iterator[Fault]:
    on = context.snapshot.triggers_for
    for expected in expected_triggers(context):
        bent = list(misshapen(context, expected))
        for trigger, shape in bent:
            fails = (trigger.type ^ shape.type) & _ROW and shape.kind != "flush"
            wanted, found = timing(shape.type), timing(trigger.type)
            if trigger.entity != expected.tview.entity:
                wanted = f"argument {expected.tview.entity}"
                found = f"argument {', '.join(trigger.args) or 'missing'}"
                fails = shape.kind in ("delta", "truncate") or (
                    trigger.entity is None and shape.kind == "row"
                )
            effect = event_effect(shape.kind, expected.relation)
            if trigger.type ^ shape.type == _BEFORE and trigger.entity == expected.tview.entity:
                effect = Effect.RISK  # what it queues is right unless a later one changes the row
            yield _fault(
                expected, trigger, shape, wanted, found, Effect.WRITES_FAIL if fails else effect
            )
        for shape in expected.shapes:
            for trigger in on.get((expected.relation.oid, expected.tview.entity), []):
                if trigger.parent is None and matches(trigger, shape, expected.tview.entity):
                    for wanted, found, effect in _differences(context, expected, trigger, shape):
                        yield _fault(expected, trigger, shape, wanted, found, effect)


def _differences(
    context: Context, expected: Expected, trigger: Trigger, shape: TriggerShape
) -> Iterator[tuple[str, str, Effect]]:
    missed = event_effect(shape.kind, expected.relation)
    if trigger.when:
        condition = (trigger.definition or "WHEN (…)").partition(" WHEN ")[2] or "(…)"
        yield "no WHEN condition", "WHEN " + condition.partition(" EXECUTE ")[0], missed
    if trigger.columns:
        names = {c.attnum: c.name for c in expected.relation.columns}
        listed = ", ".join(names.get(n, f"column {n}") for n in trigger.columns)
        yield "UPDATE of any column", f"UPDATE OF {listed} only", missed
    if trigger.initially_deferred:
        yield "not deferrable", "INITIALLY DEFERRED: fires after the flush", Effect.WRITES_FAIL
    elif trigger.deferrable:
        yield "not deferrable", "DEFERRABLE: can be made to fire after the flush", Effect.RISK
    if (trigger.old_table, trigger.new_table) != (shape.old_table, shape.new_table):
        yield (
            _tables(shape.old_table, shape.new_table),
            _tables(trigger.old_table, trigger.new_table),
            Effect.WRITES_FAIL,
        )
    if (
        shape.kind == "flush"
        and fires(trigger)
        and not trigger.name.startswith(context.dialect.flush_prefix)
        and unflushed(context, expected.relation)
    ):
        yield (
            f"a name that starts with {context.dialect.flush_prefix}",
            "a name that sorts before the delta triggers",
            Effect.WRITES_FAIL,
        )


def _tables(old: str | None, new: str | None) -> str:
    parts = [f"OLD TABLE AS {old}"] if old else []
    parts += [f"NEW TABLE AS {new}"] if new else []
    return "REFERENCING " + " ".join(parts) if parts else "no transition tables"


def _fault(
    expected: Expected,
    trigger: Trigger,
    shape: TriggerShape,
    wanted: str,
    found: str,
    effect: Effect,
) -> Fault:
    return Fault(
        expected.relation,
        shape.kind,
        expected.tview.entity,
        wanted,
        found,
        effect,
        "recreate" if trigger.parent is None else "none",
        trigger,
        expected.tview,
    )


CHECK = Check(
    id="trigger-changed",
    title="Triggers are not as the extension makes them",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "triggers", "relations"),
    provoke=Provoke(
        near_miss="ALTER TRIGGER trg_tview_row_customer_on_public_tb_customer"
        " ON public.tb_customer RENAME TO somebody_renamed_it;",
        break_="SELECT pg_get_triggerdef(oid) AS made FROM pg_trigger"
        " WHERE tgname = 'somebody_renamed_it' \\gset\n"
        "DROP TRIGGER somebody_renamed_it ON public.tb_customer;\n"
        "SELECT replace(:'made', ' OR UPDATE ON ', ' OR UPDATE OF email ON ') \\gexec\n"
        "UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1;",
        object="public.tb_customer",
    ),
)
