"""The group keys of an aggregate TVIEW cannot be read.

Meaning:
    The column group_keys of the catalog maps base tables to the column that holds the key of the
    group; here it is no JSON object of texts, or it names a table that the TVIEW does not read.

Impact:
    Writes go on with the plan as it is; re-registering fails, and with it every repair that
    re-registers and `ALTER EXTENSION … UPDATE` for this TVIEW.

Diagnosis:
    The stored JSON, and the names of what the backing view reads.

Mitigation:
    Set them from the declaration (the option group_keys in a migration file or a saved snapshot), or
    to NULL where none was declared, which is what most aggregate TVIEWs have; then re-register.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgtv.catalog.dialects import current, registering
from pgtv.catalog.model import Tview
from pgtv.checks.bindings import GENERATIONS, relations_read, reregister
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        keys = tview.raw.get("group_keys")
        found = None if keys is None else _problem(context, tview, keys)
        if found:
            yield context.finding(
                tview.label,
                f"{tview.label} cannot be re-registered: its group keys {found}.",
                affects=(tview.label,),
                evidence=[{"entity": tview.entity, "group_keys": keys}],
                remedy=reregister(
                    context,
                    tview,
                    registering.no_group_keys(context.dialect, context.extschema, tview.entity),
                    refresh=False,
                    note="If the TVIEW was created with the option group_keys, set that instead of "
                    "NULL: a saved snapshot or the migration file has it.",
                ),
            )


def _problem(context: Context, tview: Tview, keys: Any) -> str | None:
    if not isinstance(keys, dict) or not all(isinstance(v, str) for v in keys.values()):
        return "are no JSON object of texts"
    read = [context.snapshot.by_oid[o] for o in relations_read(context, tview.view_oid)]
    names = {n for r in read for n in (r.name, r.qualified, f"{r.schema}.{r.name}")}
    unread = sorted(set(keys) - names)
    return f"name {', '.join(unread)}, which it does not read" if unread and read else None


CHECK = Check(
    id="group-keys-unreadable",
    title="A TVIEW's group keys cannot be read",
    group="metadata",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "reads"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss=current.DIALECT.reregister("public.tv_stock"),
        break_=f"UPDATE {registering.META} SET group_keys = '{{\"x\": 1}}' WHERE entity = 'stock';",
        object="public.tv_stock",
    ),
)
