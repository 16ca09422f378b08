"""The stored definition and the backing view are not the same query.

Meaning:
    The catalog keeps the text of the definition, the backing view is what refreshes evaluate. The
    text cannot be parsed as one SELECT, or it reads other relations than the view, or it holds other
    constants, functions, operators, columns or clauses: one of the two was changed past the extension.

Impact:
    Rows follow the backing view, so they are right by that. What uses the text goes wrong: attaching
    after an upgrade, rebuilding a lost view, tools that read the registry; a text that does not parse
    fails re-registering and with it `ALTER EXTENSION … UPDATE`.

Diagnosis:
    Relations in FROM, at any depth, are taken from the text by PostgreSQL's own parser and compared
    with pg_depend of the view. Of expressions only what they are made of is compared, for PostgreSQL
    prints them differently from what the author wrote: a difference that its printing could explain is
    none. So a constant moved from one place to another is not found, nor is another order of columns.

Mitigation:
    If the view is right, store its query as the definition and re-register. If the text is right,
    pass it to create_or_replace, which changes view and rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import registering
from pgtv.checks.bindings import GENERATIONS, VIEW_IS_RIGHT, store_the_views
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.stored import Disagreement, disagreement, parts_differing
from pgtv.finding import Effect, Finding, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        view = context.snapshot.by_oid.get(tview.view_oid)
        if not view or view.kind != "v":
            continue
        found = disagreement(context, tview) or Disagreement(parts=parts_differing(context, tview))
        if found.renamed or found == Disagreement():
            continue
        yield context.finding(
            tview.label,
            f"The stored definition of {tview.label} "
            + (
                f"is no SELECT: {found.error}. Re-registering it fails."
                if found.error
                else "is not the query of its backing view: it differs in "
                f"{', '.join(dict.fromkeys(what for what, _, _ in found.parts))}."
                if found.parts
                else "reads other relations than its backing view."
            ),
            affects=(tview.label,),
            evidence=[
                *({"definition reads": name} for name in found.only_text),
                *({"view reads": name} for name in found.only_view),
                *([{"definition": found.error}] if found.error else ()),
                *(
                    {"differs in": what, "definition": text or "none", "view": printed or "none"}
                    for what, text, printed in found.parts
                ),
            ],
            remedy=store_the_views(
                context,
                tview,
                view,
                f"{VIEW_IS_RIGHT} If the text is right, pass it to create_or_replace instead.",
            ),
        )


CHECK = Check(
    id="definition-disagrees",
    title="A definition and its backing view disagree",
    group="metadata",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "reads"),
    consequence_of=("view-mismatch", "table-mismatch", "changed-since"),
    generations=GENERATIONS,
    provoke=Provoke(
        near_miss=f"UPDATE {registering.META} SET definition = '/* ours */ ' || definition"
        " || ' -- as agreed' WHERE entity = 'customer';"
        " ALTER TABLE public.tb_category RENAME COLUMN name TO called;",
        break_=f"UPDATE {registering.META} SET definition = 'SELECT pk_customer FROM'"
        " WHERE entity = 'customer';",
        object="public.tv_customer",
    ),
)
