"""A TVIEW's table has no usable unique index on its identity.

Meaning:
    Refreshes write with INSERT … ON CONFLICT on the columns that name a row. PostgreSQL needs a
    unique index on exactly these columns that is valid, immediate and not partial. It was dropped,
    replaced by one that does not serve, or left invalid by a failed CONCURRENTLY.

Impact:
    Writes to the base tables fail with SQLSTATE 42P10. The extension's health check says OK.

Diagnosis:
    pg_index of the TVIEW's table against the identity that the catalog names.

Mitigation:
    Where there is none, re-register: the extension makes its primary key. Where it is invalid, rebuild
    it; if that meets duplicates, refresh first. Nothing was missed meanwhile: the writes failed.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Index
from pgtv.checks import locking
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import if_reached
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for tview in snapshot.tviews:
        table = snapshot.by_oid.get(tview.table_oid)
        if table is None or not tview.identity:
            continue
        near = [
            i for i in snapshot.indexes_on.get(table.oid, ())
            if i.unique and set(i.columns) == set(tview.identity)
        ]  # fmt: skip
        if any(_serves(i) for i in near):
            continue
        key = ", ".join(tview.identity)
        broken = next((i for i in near if not i.valid and not i.partial), None)
        rebuild = (
            f"REINDEX INDEX CONCURRENTLY {ident(table.schema)}.{ident(broken.name)};"
            if broken
            else context.dialect.reregister(tview.label)
        )
        yield context.finding(
            table.qualified,
            f"{table.qualified} has no usable unique index on its identity ({key}): writes that "
            "reach it fail with SQLSTATE 42P10.",
            effect=if_reached(context, tview),
            affects=context.affected(table.oid),
            evidence=[{"index": i.name, "columns": ", ".join(i.columns), "found": _why(i)}
                      for i in near] or [{"expected": f"UNIQUE ({key})", "found": "none"}],
            remedy=Remedy(
                sql=("SET lock_timeout = '2s';", rebuild),
                role=f"the owner of {table.qualified}",
                locks=(
                    f"{'SHARE UPDATE EXCLUSIVE' if broken else 'ACCESS EXCLUSIVE'}"
                    f" on {table.qualified}",
                    *(() if broken else locking.of_reregister(context, tview)),
                ),
            ),
        )  # fmt: skip


def _serves(index: Index) -> bool:
    return index.valid and index.immediate and not index.partial and "" not in index.columns


def _why(index: Index) -> str:
    if not index.valid:
        return "invalid"
    return "partial" if index.partial else "deferrable"


CHECK = Check(
    id="unique-key",
    title="No unique index on a TVIEW's identity",
    group="storage",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations", "indexes"),
    consequence_of=("entity-duplicate", "table-mismatch", "identity-disagrees"),
    generations=("current", "lab"),
    provoke=Provoke(
        near_miss="CREATE UNIQUE INDEX mine ON public.tv_category (pk_category);"
        " ALTER TABLE public.tv_category DROP CONSTRAINT tv_category_pkey;",
        break_="ALTER TABLE public.tv_customer DROP CONSTRAINT tv_customer_pkey;",
        object="public.tv_customer",
    ),
)
