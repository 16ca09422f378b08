"""Somebody's own trigger can undo or repeat what keeps a TVIEW right.

Meaning:
    Triggers that are not the extension's: on a TVIEW's table, where a BEFORE trigger can change or
    suppress the rows that a refresh writes and an AFTER trigger can write back to a table that the
    TVIEW reads; or on a base table, with a function that writes to a TVIEW's table.

Impact:
    Rows of the TVIEW differ from its definition for ever, or each write sets off the next one until
    it fails with SQLSTATE 54001 (propagation depth).

Diagnosis:
    User triggers on TVIEWs' tables, and the relations that the text of PL/pgSQL and SQL trigger
    functions writes to. Dynamic SQL, and what those functions call, cannot be seen. Triggers that fire
    themselves have a check of their own, trigger-endless.

Mitigation:
    Move the logic to the base tables and leave TVIEWs' tables to the extension. Drop or disable the
    trigger, then refresh the TVIEW where rows may differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Trigger, Tview
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.roles import who_owns
from pgtv.checks.spelled import relations_named
from pgtv.checks.trigger_faults import FIRES, SHARE_ROW_EXCLUSIVE, as_before, fires, timing
from pgtv.finding import Effect, Finding, Remedy, Severity

_BEFORE, _ROW = 2, 1


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for trigger in snapshot.triggers:
        if trigger.kind or not fires(trigger) or trigger.parent is not None:
            continue
        relation = snapshot.by_oid.get(trigger.relation)
        if relation is None or relation.schema == context.extschema:
            continue
        tview = snapshot.tview_by_table.get(trigger.relation)
        if tview is not None:
            yield from _on_tview(context, trigger, relation, tview)
        else:
            yield from _on_base(context, trigger, relation)


def _on_tview(
    context: Context, trigger: Trigger, relation: Relation, tview: Tview
) -> Iterator[Finding]:
    upstream = context.edges.upstream([tview.table_oid])
    back = [r for r in relations_named(context.snapshot, trigger.writes) if r.oid in upstream]
    if back:
        names = ", ".join(r.qualified for r in back)
        yield _finding(
            context, trigger, relation, tview, Effect.WRITES_FAIL,
            f"writes to {names}, which {tview.label} reads: each write may set off the next, until "
            "it fails with SQLSTATE 54001.",
        )  # fmt: skip
    elif trigger.type & _BEFORE and trigger.type & _ROW:
        yield _finding(
            context, trigger, relation, tview, Effect.ROWS_WRONG,
            f"can change or suppress the rows that refreshes write to {tview.label}.",
        )  # fmt: skip
    else:
        yield _finding(
            context, trigger, relation, tview, Effect.NONE,
            f"runs inside every refresh of {tview.label}; it writes nothing back as far as can be "
            "seen.",
        )  # fmt: skip


def _on_base(context: Context, trigger: Trigger, relation: Relation) -> Iterator[Finding]:
    for target in relations_named(context.snapshot, trigger.writes):
        tview = context.snapshot.tview_by_table.get(target.oid)
        if tview is not None:
            yield _finding(
                context, trigger, relation, tview, Effect.ROWS_WRONG,
                f"writes to {tview.label}, beside the extension.",
            )  # fmt: skip


def _finding(
    context: Context,
    trigger: Trigger,
    relation: Relation,
    tview: Tview,
    effect: Effect,
    what: str,
) -> Finding:
    harmless = effect is Effect.NONE
    disable = f"ALTER TABLE {relation.qualified} DISABLE TRIGGER {ident(trigger.name)};"
    affects, rows = context.affected(tview.table_oid), bring(context, [tview])
    return context.finding(
        relation.qualified,
        f"The trigger {trigger.name} on {relation.qualified} {what}",
        key=trigger.name,
        severity=Severity.INFO if harmless else Severity.WARNING,
        effect=Effect.NONE if harmless else Effect.RISK,
        affects=affects,
        evidence=[
            {
                "trigger": trigger.name, "timing": timing(trigger.type),
                "function": trigger.function, "enabled": FIRES[trigger.enabled],
                "writes": ", ".join(trigger.writes) or "nothing that its text tells",
            }
        ],
        remedy=None
        if harmless
        else Remedy(
            sql=("SET lock_timeout = '2s';", disable, *rows.sql),
            role=who_owns(
                context,
                (relation.oid, tview.table_oid),
                f"the owner of {relation.qualified}, or a superuser",
            ),
            locks=(
                f"{SHARE_ROW_EXCLUSIVE} on {relation.qualified}",
                *rows.locks,
            ),
            undo=as_before(context.snapshot, [trigger]),
            decide="It is somebody's own: ask what it is for before it is disabled.",
            note=rows.note,
        ),
    )  # fmt: skip


CHECK = Check(
    id="trigger-user-code",
    title="A user's trigger interferes with a TVIEW",
    group="triggers",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "triggers", "relations"),
    consequence_of=("table-mismatch",),
    provoke=Provoke(
        near_miss="CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM 1; RETURN NULL; END';"
        " CREATE TRIGGER note AFTER UPDATE ON public.tb_customer"
        " FOR EACH ROW EXECUTE FUNCTION public.note();",
        break_="CREATE FUNCTION public.back() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
        " UPDATE public.tb_customer SET email = ''x'' WHERE pk_customer = NEW.pk_customer;"
        " RETURN NULL; END';"
        " CREATE TRIGGER back AFTER UPDATE ON public.tv_customer"
        " FOR EACH ROW EXECUTE FUNCTION public.back();",
        object="public.tv_customer",
    ),
)
