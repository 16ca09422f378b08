"""Two registrations hold the same table.

Meaning:
    More than one catalog row names this table as its TVIEW's. One of them belongs to it by its name;
    the others were put there by hand or by a restore gone wrong.

Impact:
    The rows of the table are computed by two definitions in turn, or the superfluous row, which has
    no triggers, makes every re-registration and update of the extension fail.

Diagnosis:
    Catalog rows by table; the entity has to match the table's name `tv_<entity>`.

Mitigation:
    Delete the superfluous row, and only the row. If it has triggers, trigger checks name them next.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Tview
from pgtv.checks.bindings import GENERATIONS, TIMEOUT
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    held: dict[int, list[Tview]] = {}
    for tview in context.snapshot.tviews:
        held.setdefault(tview.table_oid, []).append(tview)
    for oid, sharing in held.items():
        table = context.snapshot.by_oid.get(oid)
        if len(sharing) < 2 or table is None:
            continue
        right = [t for t in sharing if f"tv_{t.entity}" == table.name] or sharing[:1]
        # a row whose own table stands elsewhere has lost its way: table-mismatch rebinds it
        own = {r.name for r in context.snapshot.relations if r.kind == "r"}
        extra = [t for t in sharing if t not in right and f"tv_{t.entity}" not in own]
        if not extra:
            continue
        yield context.finding(
            table.qualified,
            f"{table.qualified} is registered {len(sharing)} times: as "
            f"{', '.join(t.entity for t in sharing)}.",
            affects=context.affected(oid),
            evidence=[{"entity": t.entity, "belongs": t in right} for t in sharing],
            remedy=Remedy(
                sql=(
                    TIMEOUT,
                    *(
                        registering.delete(context.dialect, context.extschema, t.entity)
                        for t in extra
                    ),
                ),
                role="superuser",
                note="Save the rows first (pgtv snapshot save) if you are not sure which is right.",
            ),
        )


CHECK = Check(
    id="entity-duplicate",
    title="Two registrations hold the same table",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss="CREATE SCHEMA other; CREATE TABLE other.tv_customer (pk_customer bigint);",
        break_=f"INSERT INTO {registering.META} (entity, table_oid, view_oid, definition, plan)"
        f" SELECT 'client', table_oid, view_oid, definition, plan FROM {registering.META}"
        " WHERE entity = 'customer';",
        object="public.tv_customer",
    ),
)
