"""An index is missing that a TVIEW's rows are looked up by.

Meaning:
    When a TVIEW changes that another one embeds, or a table whose columns are copied into many rows,
    the rows to change are found by a column of the reader's table. The extension creates an index that
    leads with each such column; one of them is gone or invalid.

Impact:
    Rows stay right. Each propagated write scans the reader's whole table, in the writing transaction:
    slow writes, long locks.

Diagnosis:
    The look-up columns that the plan names (embeds, fan-out, references) against the valid, full
    btree indexes of the table, by their first column.

Mitigation:
    Create the index under the extension's own name, and the extension takes it into its books. With
    CONCURRENTLY neither readers nor writers wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Tview
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for tview in snapshot.tviews:
        table = snapshot.by_oid.get(tview.table_oid)
        if table is None:
            continue
        columns = {c.name for c in table.columns}
        led = {
            i.columns[0]
            for i in snapshot.indexes_on.get(table.oid, ())
            if i.columns and i.valid and i.ready and not i.partial
        }
        missing = sorted(c for c in lookup_columns(tview) if c in columns and c not in led)
        if not missing:
            continue
        invalid = {
            i.columns[0]: i.name
            for i in snapshot.indexes_on.get(table.oid, ())
            if i.columns and not i.valid
        }
        sql = []
        for column in missing:
            if column in invalid:
                name = f"{ident(table.schema)}.{ident(invalid[column])}"
                sql.append(f"REINDEX INDEX CONCURRENTLY {name};")
                continue
            key = tview.identity[0]
            name = context.dialect.propagation_index(table.name, column, key)
            keys = ", ".join(dict.fromkeys((ident(column), ident(key))))
            words = ["CREATE INDEX CONCURRENTLY", *([ident(name)] if name else []), "ON"]
            sql.append(f"{' '.join(words)} {table.qualified} ({keys});")
        yield context.finding(
            table.qualified,
            f"Writes that reach {table.qualified} through {', '.join(missing)} scan all of it: no "
            "index leads with it.",
            affects=(tview.label,),
            evidence=[
                {"column": c, "expected": "a valid index that leads with it",
                 "found": f"invalid: {invalid[c]}" if c in invalid else "none"}
                for c in missing
            ],
            remedy=Remedy(
                sql=("SET lock_timeout = '2s';", *sql),
                role=f"the owner of {table.qualified}"
                + (", with CREATE on its schema" if any(s.startswith("CREATE") for s in sql) else ""),
                locks=(f"SHARE UPDATE EXCLUSIVE on {table.qualified}",),
                undo="DROP INDEX CONCURRENTLY",
                note="Outside a transaction. Where it fails half-way, an invalid index stays: "
                "drop it and say it again.",
            ),
        )  # fmt: skip


def lookup_columns(tview: Tview) -> set[str]:
    """Columns of the TVIEW's table by which its plan looks rows up, the identity left out."""
    plan = tview.plan if isinstance(tview.plan, dict) else {}
    found: list[Any] = []
    for embed in _objects(plan.get("embeds")):
        lookups = embed.get("lookups")
        found += lookups if isinstance(lookups, list) else []
    for table in _objects(plan.get("tables")):
        fanout = table.get("fanout")
        if isinstance(fanout, dict):
            found.append(fanout.get("lookup_col"))
    found += [reference.get("column") for reference in _objects(plan.get("references"))]
    return {c for c in found if isinstance(c, str)} - set(tview.identity[:1])


def _objects(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


CHECK = Check(
    id="lookup-index",
    title="A look-up index is missing",
    group="storage",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "indexes"),
    generations=("current",),
    provoke=Provoke(
        near_miss='CREATE INDEX mine ON "Sales Dept".tv_order (fk_customer);'
        ' DROP INDEX "Sales Dept".idx_tv_order_fk_customer_pk_order;',
        break_='DROP INDEX "Sales Dept".mine;',
        object='"Sales Dept".tv_order',
    ),
)
