"""The same trigger of a TVIEW stands on a table more than once.

Meaning:
    Two triggers with the same function, argument and timing, under different names: created by hand,
    or by a restore that met triggers that were already there.

Impact:
    Each write does the work twice. Rows stay right. Dropping or disabling one of the two later hides
    that the other still stands.

Diagnosis:
    pg_trigger, grouped by table, function, argument and tgtype.

Mitigation:
    Drop all but one. The one that bears the extension's name is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.model import Trigger
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import expected_triggers, matches
from pgtv.checks.trigger_faults import Fault, fires, report, timing
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    yield from report(
        context, _faults(context), "stands there a second time", "stand there a second time"
    )


def _faults(context: Context) -> Iterator[Fault]:
    prefix = context.dialect.trigger_prefix

    def worth_keeping(t: Trigger) -> tuple[bool, ...]:
        plain = not (t.when or t.columns or t.deferrable)
        return fires(t), plain, t.name.startswith(prefix)

    for expected in expected_triggers(context):
        place = (expected.relation.oid, expected.tview.entity)
        for shape in expected.shapes:
            same = [
                t
                for t in context.snapshot.triggers_for.get(place, [])
                if matches(t, shape, expected.tview.entity) and t.parent is None
            ]
            if len(same) < 2:
                continue
            kept, *extra = sorted(same, key=worth_keeping, reverse=True)
            for trigger in extra:
                yield Fault(
                    expected.relation,
                    shape.kind,
                    expected.tview.entity,
                    expected=f"once: {kept.name}",
                    found=f"again, {timing(trigger.type)}",
                    effect=Effect.NONE,
                    cure="drop",
                    trigger=trigger,
                    tview=expected.tview,
                )


CHECK = Check(
    id="trigger-doubled",
    title="Triggers stand twice",
    group="triggers",
    severity=Severity.WARNING,
    effect=Effect.NONE,
    run=run,
    needs=("tviews", "triggers", "relations"),
    provoke=Provoke(
        near_miss="CREATE TRIGGER mine BEFORE UPDATE ON public.tb_customer FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger();",
        break_="SELECT regexp_replace(pg_get_triggerdef(oid), 'TRIGGER [^ ]+', 'TRIGGER again')"
        " FROM pg_trigger WHERE tgname = 'trg_tview_row_customer_on_public_tb_customer' \\gexec",
        object="public.tb_customer",
    ),
)
