"""A trigger calls the extension for a TVIEW that does not read its table.

Meaning:
    One of two things. A trigger that the extension made was left behind: its TVIEW is no longer
    registered, or no longer reads the table, or the table is a detached partition. Or somebody
    created a trigger of their own that calls one of the extension's trigger functions, which any
    role may do on a table that it owns.

Impact:
    Left behind, a delta or truncate trigger of a TVIEW that is not registered makes writes fail with
    SQLSTATE 42704, and one without an argument with 39P01; others cost time. A trigger of somebody's
    own can make the extension rewrite a TVIEW that its creator does not own.

Diagnosis:
    Triggers that call the extension's functions, less those that the plans ask for.

Mitigation:
    Drop the trigger. But where the TVIEW's registration is lost while its table still stands,
    restore the registration instead: the trigger is then right again.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Trigger, Tview
from pgtv.checks.bindings import relations_read
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import expected_on, misdirected, read_kinds
from pgtv.checks.trigger_faults import ACCESS_EXCLUSIVE, FIRES, timing
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot, wanted = context.snapshot, expected_on(context)
    by_table: dict[int, list[tuple[Trigger, str, Effect]]] = {}
    for trigger in snapshot.triggers:
        if not trigger.kind or trigger.parent is not None or misdirected(context, trigger):
            continue
        expected = wanted.get((trigger.relation, trigger.entity or ""))
        if expected and trigger.kind in {s.kind for s in expected.shapes}:
            continue
        tview = snapshot.tview_by_entity.get(trigger.entity or "")
        if tview is not None and (tview.plan_error or _plan_in_doubt(context, tview, trigger)):
            continue  # nothing is known of what it reads
        why, effect = _why(context, trigger)
        by_table.setdefault(trigger.relation, []).append((trigger, why, effect))
    for oid, found in by_table.items():
        yield _finding(context, oid, found)


def _plan_in_doubt(context: Context, tview: Tview, trigger: Trigger) -> bool:
    """Whether the view reads the table and the plan, by which triggers are judged, denies it.

    Then the plan is what has to be cured; dropping the trigger would make the damage last.
    """
    kind = read_kinds(tview).get(trigger.relation)
    if trigger.relation not in relations_read(context, tview.view_oid):
        return False
    return kind is None or (
        kind == "propagated" and trigger.relation not in context.snapshot.tview_by_table
    )


def _why(context: Context, trigger: Trigger) -> tuple[str, Effect]:
    needs_argument = trigger.kind != "flush"
    if trigger.entity is None:
        return (
            f"names {len(trigger.args) or 'no'} TVIEWs instead of one",
            Effect.WRITES_FAIL if needs_argument else Effect.RISK,
        )
    if trigger.entity not in context.snapshot.tview_by_entity:
        return (
            f"TVIEW {trigger.entity} is not registered",
            Effect.WRITES_FAIL if trigger.kind == "delta" else Effect.RISK,
        )
    if (trigger.kind == "row" and not trigger.type & 1) or (
        trigger.kind == "delta" and trigger.type & 1
    ):
        return "fires at the wrong level", Effect.WRITES_FAIL
    return "the TVIEW needs no such trigger on this table", Effect.RISK


def _finding(context: Context, oid: int, found: list[tuple[Trigger, str, Effect]]) -> Finding:
    snapshot = context.snapshot
    on = snapshot.name_of(oid)
    fails = any(effect is Effect.WRITES_FAIL for _, _, effect in found)
    named = {t.entity for t, _, _ in found if t.entity}
    lost = {
        e: table
        for e in named
        if e not in snapshot.tview_by_entity and (table := _table_that_stands(context, e))
    }
    foreign = [t for t, _, _ in found if not t.name.startswith(context.dialect.trigger_prefix)]
    whose = "somebody's own" if foreign else "left behind"
    detail = (
        f"{len(found)} trigger{'s' if len(found) > 1 else ''} on {on}, {whose}, "
        f"call{'' if len(found) > 1 else 's'} the extension for what no TVIEW asks for."
    )
    if fails:
        detail += " Writes of that kind to the table fail."
    elif any(
        t.kind == "truncate" and t.entity not in snapshot.tview_by_entity for t, _, _ in found
    ):
        detail += " TRUNCATE of the table fails; other writes pass."
    drop = [t for t, _, _ in found if t.entity not in lost]
    note = None
    if lost:
        note = (
            f"The table of {', '.join(sorted(lost.values()))} still stands: restore its registration "
            "(pgtv repair metadata) instead of dropping its triggers."
        )
    return context.finding(
        on,
        detail,
        severity=Severity.CRITICAL if fails else Severity.WARNING,
        effect=Effect.WRITES_FAIL if fails else Effect.RISK,
        affects=(
            *context.affected(
                *(t.table_oid for e in sorted(named) if (t := snapshot.tview_by_entity.get(e)))
            ),
            *sorted(lost.values()),
        ),
        evidence=[
            {
                "trigger": t.name, "kind": str(t.kind), "argument": ", ".join(t.args) or "none",
                "timing": timing(t.type), "enabled": FIRES[t.enabled], "found": why,
            }
            for t, why, _ in found
        ],
        remedy=Remedy(
            sql=(
                "SET lock_timeout = '2s';",
                *(f"DROP TRIGGER {ident(t.name)} ON {on};" for t in drop),
            )
            if drop
            else (),
            role=f"the owner of {on}, or a superuser",
            locks=(f"{ACCESS_EXCLUSIVE} on {on}",) if drop else (),
            note=note,
        ),
    )  # fmt: skip


def _table_that_stands(context: Context, entity: str) -> str | None:
    return next(
        (
            r.qualified
            for r in context.snapshot.relations
            if r.name == f"tv_{entity}" and r.kind in "rp"
        ),
        None,
    )


CHECK = Check(
    id="trigger-orphaned",
    title="Triggers call the extension for nothing",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "triggers", "relations"),
    consequence_of=("registration-missing", "table-mismatch"),
    provoke=Provoke(
        near_miss="SET ROLE shop_owner; CREATE TABLE public.noted (a int); CREATE TRIGGER mine"
        " BEFORE UPDATE ON public.noted FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();",
        break_="SELECT regexp_replace(regexp_replace(pg_get_triggerdef(oid),"
        " 'TRIGGER [^ ]+', 'TRIGGER poke'), ' ON [^ ]+ ', ' ON public.noted ')"
        " FROM pg_trigger WHERE tgname = 'trg_tview_truncate_customer_on_public_tb_customer'"
        " \\gexec",
        object="public.noted",
    ),
)
