"""A TVIEW reads through more layers of views than the extension follows.

Meaning:
    The extension follows helper views below a definition only as deep as its setting
    max_dependency_depth. A helper view replaced after the TVIEW was registered can go deeper.

Impact:
    Writes go on. Re-registering, replacing, and with them upgrades and restores, fail with
    SQLSTATE 54001.

Diagnosis:
    Layers of plain views below each backing view are counted from pg_depend.

Mitigation:
    Raise the setting, or flatten the views.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import SETTING_PREFIX, ident
from pgtv.catalog.model import Snapshot
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity

SETTING = SETTING_PREFIX + "max_dependency_depth"


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    value = snapshot.setting.get(SETTING)
    if value is None or not value.isdecimal():
        return
    database = ident(snapshot.server.database)
    for tview in snapshot.tviews:
        layers = deepest(snapshot, tview.view_oid)
        if len(layers) <= int(value):
            continue
        names = " -> ".join([tview.label, *(snapshot.name_of(v) for v in layers)])
        yield context.finding(
            tview.label,
            f"{tview.label} reads through {len(layers)} layers of views; {SETTING} is {value}. "
            "It can be neither re-registered nor replaced (54001).",
            affects=(tview.label,),
            evidence=[{"layers": len(layers), "reads": names}],
            remedy=Remedy(
                sql=(f"ALTER DATABASE {database} SET {SETTING} = {len(layers)};",),
                role="superuser",
                undo=f"ALTER DATABASE {database} RESET {SETTING};",
                note="Holds for new sessions. Flattening the views cures it too.",
            ),
        )


def deepest(snapshot: Snapshot, view: int) -> list[int]:
    """The longest chain of plain views below `view`; cut where views read each other in a ring."""
    best: dict[int, list[int]] = {}
    stack: list[tuple[int, bool]] = [(view, False)]
    on_path: set[int] = set()
    while stack:
        oid, back = stack.pop()
        below = [
            r.relation
            for r in snapshot.reads_of.get(oid, ())
            if r.relation is not None
            and (found := snapshot.by_oid.get(r.relation)) is not None
            and found.kind == "v"
        ]
        if back:
            on_path.discard(oid)
            chains = [[b, *best.get(b, [])] for b in below if b not in on_path]
            best[oid] = max(chains, key=len, default=[])
        elif oid not in best and oid not in on_path:
            on_path.add(oid)
            stack.append((oid, True))
            stack.extend((b, False) for b in below)
    return best[view]


CHECK = Check(
    id="view-nesting",
    title="Views nest deeper than the extension follows",
    group="graph",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "reads", "settings"),
    generations=("current",),
    provoke=Provoke(
        near_miss="CREATE VIEW public.v_deeper AS SELECT * FROM public.v_open_order;",
        break_="SET ROLE shop_owner; CREATE VIEW public.v_0 AS"
        " SELECT * FROM \"Sales Dept\".tb_order WHERE status = 'open';"
        + "".join(
            f" CREATE VIEW public.v_{i} AS SELECT * FROM public.v_{i - 1};" for i in range(1, 11)
        )
        + " CREATE OR REPLACE VIEW public.v_open_order AS"
        " SELECT pk_order, fk_customer, placed_at FROM public.v_10;",
        object="public.tv_basket",
    ),
)
