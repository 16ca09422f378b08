"""A TVIEW has no rows although the table that its rows come from has some.

Meaning:
    The file of the TVIEW's table is empty: it was truncated, or restored without its rows
    (--exclude-table-data, --schema-only followed by a load of the base tables).

Impact:
    Readers find nothing. Writes bring back single rows, so it stays incomplete. The extension's health
    check never compares contents and says OK.

Diagnosis:
    The size of the TVIEW's table, and the estimated rows of the table that holds its identity. It is
    proof only where the definition filters nothing. With inner joins it is a warning; with a WHERE
    clause an empty TVIEW may be right, and the finding is information: `pgtv verify` decides.

Mitigation:
    Refresh it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgtv.catalog.model import Relation, Tview
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import read_kinds
from pgtv.finding import Effect, Finding, Remedy, Severity

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*")
_FILTERS = re.compile(r"\b(where|having|limit|fetch|offset|intersect|except|tablesample|lateral)\b")
_JOINS = re.compile(r"(?<!left )(?<!left outer )\bjoin\b")


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        table = context.snapshot.by_oid.get(tview.table_oid)
        source = _source(context, tview)
        if table is None or table.bytes != 0 or source is None:
            continue
        if table.persistence == "u" and context.snapshot.server.in_recovery:
            continue  # not readable here, empty or not: unlogged-standby
        rows = _rows(context, source)
        if rows <= 0:
            continue
        rows_again = bring(context, [tview])
        certain = unfiltered(tview.definition)
        likely = certain or (joins_only(tview.definition) and _all_have_rows(context, tview))
        yield context.finding(
            table.qualified,
            f"{table.qualified} is empty while {source.qualified}, where its rows come from, holds "
            f"about {rows:,}"
            + (
                "."
                if certain
                else "; only its joins can make that right."
                if likely
                else "; its definition filters, so that may be right."
            ),
            severity=Severity.CRITICAL
            if certain
            else Severity.WARNING
            if likely
            else Severity.INFO,
            effect=Effect.ROWS_WRONG if likely else Effect.NONE,
            affects=context.affected(table.oid),
            evidence=[
                {"tview": table.qualified, "bytes": 0, "source": source.qualified,
                 "estimated rows": rows}
            ],
            remedy=Remedy(
                sql=("SET lock_timeout = '2s';", *rows_again.sql),
                role=f"the owner of {table.qualified}",
                locks=rows_again.locks,
                note=rows_again.note,
            )
            if likely
            else Remedy(command=f"pgtv verify {table.qualified}"),
        )  # fmt: skip


def unfiltered(definition: str) -> bool:
    """Whether every row of the first table surely makes a row: nothing filters, joins are LEFT."""
    return joins_only(definition) and not _JOINS.search(_plain(definition))


def joins_only(definition: str) -> bool:
    """Whether nothing but inner joins can leave rows out."""
    return not _FILTERS.search(_plain(definition))


def _plain(definition: str) -> str:
    return " ".join(_QUOTED.sub(" x ", definition).lower().split())


def _all_have_rows(context: Context, tview: Tview) -> bool:
    read = [context.snapshot.by_oid.get(o) for o in read_kinds(tview)]
    return all(r is not None and _rows(context, r) > 0 for r in read)


def _source(context: Context, tview: Tview) -> Relation | None:
    """The table whose rows are the TVIEW's rows: the root of the plan's paths."""
    paths = tview.plan.get("paths") if isinstance(tview.plan, dict) else None
    for path in paths if isinstance(paths, list) else ():
        if isinstance(path, dict) and path.get("root") and isinstance(path.get("source_oid"), int):
            return context.snapshot.by_oid.get(path["source_oid"])
    return None


def _rows(context: Context, relation: Relation) -> int:
    """Estimated rows; of a partitioned table its partitions' sum."""
    parts = [
        r
        for r in context.snapshot.relations
        if r.oid == relation.oid or r.partition_root == relation.oid
    ]
    stats = context.snapshot.stats_of
    return sum(
        max(stats[r.oid].live if r.oid in stats else 0, int(r.reltuples))
        for r in parts
        if r.kind == "r"
    )


CHECK = Check(
    id="tview-empty",
    title="A TVIEW is empty",
    group="storage",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "table_stats"),
    consequence_of=("unlogged-reset",),
    provoke=Provoke(
        near_miss="CREATE TABLE public.tv_none AS SELECT c.pk_category AS pk_none,"
        " jsonb_build_object('n', c.name) AS data FROM public.tb_category c WHERE c.name = 'none';",
        break_="TRUNCATE public.tv_stock;",
        object="public.tv_stock",
    ),
)
