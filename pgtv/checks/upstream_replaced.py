"""A TVIEW was replaced, and its readers' readers still hold what it gave before.

Meaning:
    Replacing a TVIEW's definition brings its own rows and those of the TVIEWs that read it directly.
    TVIEWs another step away are left as they are, and nothing marks them.

Impact:
    Their rows hold what the old definition gave, until something touches them. The extension's health
    check says OK.

Diagnosis:
    Replacing makes the backing view's rule and the registrations of direct readers anew, in one
    transaction. The ages in transactions of both are compared with that of this TVIEW's registration.

Mitigation:
    Re-register the TVIEW, which notes the time, then refresh it with what reads it. `pgtv verify` tells
    first whether rows differ at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Relation, Tview
from pgtv.checks.bindings import GENERATIONS, reregister
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Severity
from pgtv.graph.select import tview_edges

_PRODUCT = (
    "SELECT p.pk_product, p.id, p.fk_category, jsonb_build_object('id', p.id, 'name', p.name,"
    " 'cents', p.price * 100, 'category', vc.data) AS data FROM public.tb_product p"
    " JOIN public.tv_category vc ON vc.pk_category = p.fk_category"
)
_CATEGORY = (
    "SELECT c.pk_category, c.id, jsonb_build_object('id', c.id, 'called', c.name) AS data"
    " FROM public.tb_category c"
)


def run(context: Context) -> Iterator[Finding]:
    upstream, _ = tview_edges(context.edges)
    tviews = context.edges.tviews
    for tview in context.snapshot.tviews:
        if tview.registered_age is None or tview.registered_age < 0:
            continue
        brought = (tviews[o] for o in upstream.get(tview.table_oid, ()) if o in tviews)
        replaced = {
            origin.label: (origin, view, reader)
            for reader in sorted(brought, key=lambda t: t.label)
            for o in sorted(upstream.get(reader.table_oid, ()))
            if (origin := tviews.get(o))
            and (view := context.snapshot.by_oid.get(origin.view_oid))
            and _between(view, reader, tview)
        }
        if not replaced:
            continue
        names = ", ".join(replaced)
        yield context.finding(
            tview.label,
            f"{names} was replaced after {tview.label} was registered: only its direct readers were "
            f"brought up to date, and rows of {tview.label} may be stale.",
            affects=context.affected(tview.table_oid),
            evidence=[
                {
                    "replaced": origin.label, "age": view.rule_age, "through": reader.label,
                    "through_registered": reader.registered_age,
                    "registered": tview.registered_age,
                }
                for origin, view, reader in replaced.values()
            ],
            remedy=reregister(
                context, tview, refresh=True, note="Ages are in transactions; pgtv verify tells "
                "whether rows differ at all."
            ),
        )  # fmt: skip


def _between(view: Relation, reader: Tview, tview: Tview) -> bool:
    """Whether the view became anew after `tview` was registered, and `reader` then or later."""
    if view.rule_age is None or reader.registered_age is None or tview.registered_age is None:
        return False
    return 0 <= reader.registered_age <= view.rule_age < tview.registered_age


CHECK = Check(
    id="upstream-replaced",
    title="A TVIEW two steps upstream was replaced",
    group="metadata",
    severity=Severity.WARNING,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations"),
    consequence_of=("changed-since", "view-mismatch", "table-mismatch"),
    generations=GENERATIONS,
    provoke=Provoke(
        # the direct reader of a replaced one is brought by the extension
        near_miss=registering.replace("tv_product", _PRODUCT, {}),
        break_=registering.replace("tv_category", _CATEGORY, {}),
        object='"Sales Dept".tv_order_line',
    ),
)
