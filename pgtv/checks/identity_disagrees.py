"""The identity of a TVIEW's rows, as the catalog has it, is not that of its table.

Meaning:
    The identity names the column by which the extension finds a row: `pk_<entity>`, or the DISTINCT ON
    key. It is absent, of an unknown kind, or names a column that the view or the table does not have
    or that is not the TVIEW's key.

Impact:
    Writes that reach the TVIEW, or one that embeds it, fail: SQLSTATE XX000 for an identity that
    cannot be read, 22P02 or 42703 for one that names another column.

Diagnosis:
    The catalog row is compared with the columns of table and backing view.

Mitigation:
    Re-registering derives it anew; rows need nothing, because the writes were refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Tview
from pgtv.checks.bindings import reregister
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import if_reached
from pgtv.finding import Effect, Finding, Severity

KINDS = ("pk", "distinct_on")


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        found = _problem(context, tview)
        if found:
            yield context.finding(
                tview.label,
                f"Writes that reach {tview.label} fail: its identity {found}.",
                effect=if_reached(context, tview),
                affects=context.affected(tview.table_oid) or (tview.label,),
                evidence=[{"entity": tview.entity, "identity": tview.raw.get("identity")}],
                remedy=reregister(context, tview, refresh=False),
            )


def _problem(context: Context, tview: Tview) -> str | None:
    identity = tview.raw.get("identity")
    columns = identity.get("columns") if isinstance(identity, dict) else None
    first = columns[0] if isinstance(columns, list) and columns else None
    name = first.get("name") if isinstance(first, dict) else None
    if identity is None:
        return "is absent"
    if not isinstance(identity, dict) or not isinstance(name, str):
        return "names no column"
    if identity.get("kind") not in KINDS:
        return f"is of the unknown kind {identity.get('kind')!r}"
    if identity["kind"] == "pk" and name != f"pk_{tview.entity}":
        return f"names {name} instead of pk_{tview.entity}"
    for oid in (tview.table_oid, tview.view_oid):
        relation = context.snapshot.by_oid.get(oid)
        if relation and relation.columns and name not in {c.name for c in relation.columns}:
            return f"names {name}, a column that {relation.qualified} does not have"
    return None


CHECK = Check(
    id="identity-disagrees",
    title="A TVIEW's identity is wrong: writes to it fail",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations"),
    consequence_of=(
        "entity-duplicate", "table-mismatch", "view-mismatch", "columns-disagree",
        "plan-unreadable",
    ),
    generations=("current",),
    provoke=Provoke(
        near_miss=f"UPDATE {registering.META} SET identity = identity || '{{\"later\": 1}}';",
        break_=f"UPDATE {registering.META} SET identity = NULL WHERE entity = 'order';"
        f" UPDATE {registering.META} SET identity ="
        " '{\"kind\": \"pk\", \"columns\": [{\"name\": \"id\"}]}' WHERE entity = 'customer';",
        object="public.tv_customer",
    ),
)  # fmt: skip
