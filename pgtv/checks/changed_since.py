"""What a TVIEW is computed by was replaced since it was registered: its rows may be stale.

Meaning:
    A plain view or a function that the definition uses, or the backing view itself, has a newer
    version than the TVIEW's registration. PostgreSQL tells nobody when a view or function is
    replaced, and the extension does not look.

Impact:
    Rows written before keep what the old version gave; rows touched since have what the new one
    gives. A helper view that now reads further tables has no triggers on them, and one that reads a
    TVIEW may close a cycle that the extension would have refused.

Diagnosis:
    The age in transactions of the view's rule, or of the function's row, is compared with that of
    the registration. Functions behind operators and aggregates count, and those that other functions
    call, as far as their texts name them. A function that has privileges of its own is reported as info
    only, because GRANT renews its row as well; so is a view that groups by a primary key after a
    restore, which creates its rule last.

Mitigation:
    For a helper: re-register the TVIEW, which derives its triggers anew and notes the time, then
    refresh it. A function that is not immutable any more has to be declared first, with the tables
    that it reads. A backing view replaced past the extension is made again from the stored definition;
    to keep the new query, pass it to create_or_replace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Function, Relation, Tview
from pgtv.checks.bindings import (
    GENERATIONS,
    TIMEOUT,
    argument,
    recreate_view,
    reregister,
    views_read,
)
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke, once
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        if not _is_age(tview.registered_age):
            continue
        views = list(_views(context, tview))
        functions = list(_functions(context, tview))
        backing = next((v for v in views if v.oid == tview.view_oid), None)
        if not views and not functions:
            continue
        sure = any(not _restored(context, tview, v) for v in views) or any(
            not f.granted for f in functions
        )
        what = ", ".join([*(v.qualified for v in views), *(f.signature for f in functions)])
        table = context.snapshot.by_oid.get(tview.table_oid)
        yield context.finding(
            tview.label,
            f"{what} changed since {tview.label} was registered: rows written before may be stale.",
            severity=Severity.WARNING if sure else Severity.INFO,
            affects=context.affected(tview.table_oid),
            evidence=[
                *(
                    {"view": v.qualified, "age": v.rule_age, "registered": tview.registered_age}
                    for v in views
                ),
                *(
                    {"function": f.signature, "age": f.age, "registered": tview.registered_age}
                    for f in functions
                ),
            ],
            remedy=recreate_view(context, tview, table, drop=backing.qualified)
            if backing and table and not _restored(context, tview, backing)
            else _declare(context, tview, undeclared)
            if (undeclared := _undeclared(context, tview, functions))
            else reregister(
                context, tview, refresh=True, note="Ages are in transactions; pgtv verify tells "
                "whether rows differ at all."
            ),
        )  # fmt: skip


def _undeclared(context: Context, tview: Tview, functions: list[Function]) -> list[Function]:
    """Those for which the extension refuses to re-register the TVIEW: it sees those that are called
    in the definition itself."""
    reads = context.snapshot.reads_of
    declared = {signature for signature, _ in tview.function_reads}
    direct = {r.function for v in views_read(context, tview.view_oid) for r in reads.get(v, ())}
    return [
        f
        for f in functions
        if f.volatility != "i" and f.signature not in declared and f.oid in direct
    ]


def _declare(context: Context, tview: Tview, functions: list[Function]) -> Remedy:
    tables = sorted({t for f in functions for t in f.reads})
    options = {k: v for k, v in tview.options.items() if v is not None}
    options["function_reads"] = dict(options.get("function_reads") or {}) | {
        f.signature: list(f.reads) for f in functions
    }
    policies = dict(options.get("uncascaded_tables") or {})
    options["uncascaded_tables"] = policies | {
        t: "full_refresh" for t in tables if t not in policies
    }
    names = ", ".join(f.signature for f in functions)
    rows = bring(context, [tview], called=argument(tview))
    every = f"each write to {', '.join(tables)} then refreshes every row; " if tables else ""
    return Remedy(
        sql=(
            TIMEOUT,
            registering.replace(tview.label, tview.definition, options),
            *rows.sql,
        ),
        role=f"owner of {tview.label}",
        locks=(
            *(f"SHARE ROW EXCLUSIVE on {t}" for t in tables),
            *rows.locks,
        ),
        decide=f"{names} is not immutable any more: whether it reads {', '.join(tables) or 'no table'} "
        f"alone, as its text says, is for you to judge ({every}making it immutable again is the "
        "other way)",
        note=rows.note,
    )


def _is_age(age: int | None) -> bool:
    """Ages turn negative when transaction ids have gone round; then nothing is known."""
    return age is not None and age >= 0


def _views(context: Context, tview: Tview) -> Iterator[Relation]:
    for oid in views_read(context, tview.view_oid):
        view = context.snapshot.by_oid.get(oid)
        if view and _newer(view.rule_age, tview):
            yield view


def _functions(context: Context, tview: Tview) -> Iterator[Function]:
    snapshot = context.snapshot
    by_oid = once(context, "functions by oid", lambda: {f.oid: f for f in snapshot.functions})
    views = views_read(context, tview.view_oid)
    called = {
        int(read.function)
        for view in views
        for read in snapshot.reads_of.get(view, ())
        if read.function is not None
    }
    called |= {f.oid for f in snapshot.functions if not f.extension and set(f.serves) & set(views)}
    for oid in sorted(called):
        function = by_oid.get(oid)
        if function and not function.extension and _newer(function.age, tview):
            yield function


def _newer(age: int | None, tview: Tview) -> bool:
    return age is not None and tview.registered_age is not None and 0 <= age < tview.registered_age


def _restored(context: Context, tview: Tview, view: Relation) -> bool:
    """Whether a restore explains the view's age.

    pg_restore loads the catalog's rows in one transaction, and creates rules that depend on a
    primary key afterwards.
    """
    together = once(
        context,
        "registrations by age",
        lambda: Counter(t.registered_age for t in context.snapshot.tviews),
    )
    alone = len(context.snapshot.tviews) == 1
    return view.rule_on_constraint and (alone or together[tview.registered_age] > 1)


CHECK = Check(
    id="changed-since",
    title="A view or function changed since registration",
    group="metadata",
    severity=Severity.WARNING,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "reads", "functions"),
    consequence_of=("view-mismatch", "table-mismatch", "columns-disagree", "reads-disagree"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss="ALTER VIEW public.v_open_order OWNER TO shop_owner;"
        " GRANT SELECT ON public.v_open_order TO PUBLIC;"
        ' ALTER TABLE "Sales Dept".tb_order RENAME COLUMN placed_at TO placed;'
        " CREATE FUNCTION public.unused() RETURNS int LANGUAGE sql AS 'SELECT 1';",
        break_="CREATE OR REPLACE VIEW public.v_open_order AS"
        ' SELECT o.pk_order, o.fk_customer, o.placed AS placed_at FROM "Sales Dept".tb_order o'
        " WHERE o.status <> 'open';",
        object="public.tv_basket",
    ),
)
