"""A registration says of its TVIEW what is not so.

Meaning:
    The catalog row of a TVIEW marks it as reading the current time although its definition does not,
    or the other way round; it excuses a relation that the TVIEW does not read; or it lists an index
    that is not there. The extension derives and maintains all three, so the row was edited, or DDL ran
    while the extension's triggers were off.

Impact:
    Differences of a TVIEW that is marked as time-dependent, or that excuses a relation under policy
    `warn`, pass as meant: drift in it is reported by nobody. One that reads the time and is not marked
    is left out when time-dependent TVIEWs are refreshed. An index that is listed and gone slows
    look-ups down, and a new one of that name would be taken for the extension's.

Diagnosis:
    The definition's calls, its helper views included, pg_depend and pg_index are compared with the
    row.

Mitigation:
    Re-registering derives the first two anew. An index that is gone is taken off the list; where it
    should exist, lookup-index and the TVIEW's options tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Tview
from pgtv.checks.bindings import reregister, views_read
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.definitions import definitions
from pgtv.definitions.builtin import TIME
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        table = context.snapshot.by_oid.get(tview.table_oid)
        view = context.snapshot.by_oid.get(tview.view_oid)
        if table is None or view is None or view.kind != "v":
            continue  # checks of their own
        derived = [*_time(context, tview), *_excused(context, tview)]
        gone = _indexes_gone(context, tview)
        if not derived and not gone:
            continue
        forget = [
            registering.forget_indexes(context.dialect, context.extschema, tview.entity, gone)
        ]
        yield context.finding(
            tview.label,
            f"The registration of {tview.label} is not true: "
            + "; ".join([row["so"] for row in derived] + [f"it lists the index {n}" for n in gone])
            + ".",
            affects=context.affected(tview.table_oid),
            evidence=[*derived, *({"registered": f"index {n}", "so": "it does not exist"} for n in gone)],
            remedy=reregister(context, tview, *(forget if gone else ()), refresh=False),
        )  # fmt: skip


def _time(context: Context, tview: Tview) -> Iterator[dict[str, str]]:
    reads = _reads_time(context, tview)
    if reads is None or reads == tview.time_dependent:
        return
    marked = "" if tview.time_dependent else "not "
    yield {
        "registered": f"{marked}time-dependent",
        "so": "its definition " + ("reads the current time" if reads else "reads no time"),
    }


def _reads_time(context: Context, tview: Tview) -> bool | None:
    """As the extension decides it; None where a definition on the way cannot be read."""
    known = definitions(context).by_reader
    for view in views_read(context, tview.view_oid):
        lineage = known.get(tview.table_oid if view == tview.view_oid else view)
        reads = lineage.reads if lineage else None
        if reads is None:
            return None
        if reads.time or any(
            call.schema in (None, "pg_catalog")
            and (call.name in TIME or (call.name == "age" and call.args == 1))
            for call in reads.functions
        ):
            return True
    return False


def _excused(context: Context, tview: Tview) -> Iterator[dict[str, Any]]:
    if tview.uncascaded_policy == "error":
        return  # then nothing is excused
    upstream = set(context.edges.upstream([tview.table_oid]))
    for oid in tview.uncascaded:
        if oid not in upstream:
            name = context.snapshot.name_of(oid)
            yield {
                "registered": f"policy {tview.uncascaded_policy} for {name}",
                "so": f"it does not read {name}",
            }


def _indexes_gone(context: Context, tview: Tview) -> list[str]:
    there = {i.name for i in context.snapshot.indexes_on.get(tview.table_oid, ())}
    return [name for name in tview.managed_indexes if name not in there]


CHECK = Check(
    id="registration-untrue",
    title="A registration says what is not so",
    group="metadata",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "reads", "indexes"),
    consequence_of=(
        "view-mismatch",
        "table-mismatch",
        "changed-since",
        "reads-disagree",
        "lookup-index",
        "unique-key",
    ),
    generations=("current",),
    provoke=Provoke(
        near_miss="ALTER INDEX public.idx_tv_customer_id RENAME TO other;"
        ' DROP INDEX "Sales Dept".idx_tv_order_id;'
        " SELECT tviews.pg_tviews_create('public.tv_day', 'SELECT c.pk_category AS pk_day, c.name,"
        " age(now(), timestamptz ''2020-01-01 00:00+00'') AS since FROM public.tb_category c',"
        """ '{"time_refresh": "external"}');"""
        " SELECT tviews.pg_tviews_create('public.tv_plain', 'SELECT c.pk_category AS pk_plain,"
        " age(timestamp ''2021-01-01'', timestamp ''2020-01-01'') AS since"
        " FROM public.tb_category c');",
        break_=f"UPDATE {registering.META} SET time_dependent = true, time_refresh = 'external',"
        " managed_index_names = managed_index_names || '{idx_gone}' WHERE entity = 'customer';",
        object="public.tv_customer",
    ),
)
