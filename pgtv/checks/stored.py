"""The stored definition against what the backing view reads; no check itself.

The text is the author's, the view's query is PostgreSQL's rendering: comparing them as text would
report every healthy TVIEW. What both have is the set of relations named in FROM, at any depth, so
these are compared, by schema where the text gives one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgtv.catalog.model import Relation, Tview
from pgtv.checks.declare import Context, once
from pgtv.checks.definitions import definitions
from pgtv.errors import DefinitionError


@dataclass(frozen=True)
class Disagreement:
    """renamed: (name in the text, name now) where the text's name belongs to nothing any more.

    only_text, only_view: relations that one of them reads and the other does not.
    error: why the text is no definition at all.
    parts: (what, only in the text, only in the view) where both read the same and differ all the same.
    """

    renamed: tuple[tuple[str, str], ...] = ()
    only_text: tuple[str, ...] = ()
    only_view: tuple[str, ...] = ()
    error: str | None = None
    parts: tuple[tuple[str, str, str], ...] = ()


def parts_differing(context: Context, tview: Tview) -> tuple[tuple[str, str, str], ...]:
    """Of a text and a view that read the same relations: what else they surely do not share."""
    from pgtv.definitions.atoms import atoms, differences

    snapshot = context.snapshot
    view = snapshot.by_oid.get(tview.view_oid)
    if view is None or not view.definition:
        return ()
    if view.rule_age is not None and view.rule_age == tview.registered_age:
        return ()  # one transaction wrote both, and neither changed since: spares most of the work
    real = {
        column.name
        for read in snapshot.reads_of.get(tview.view_oid, ())
        if (relation := snapshot.by_oid.get(read.relation or 0))
        for column in relation.columns
    }
    try:
        return tuple(differences(atoms(tview.definition), atoms(view.definition), real))
    except DefinitionError:
        return ()  # the printed text of a newer server than the parser knows


def disagreement(context: Context, tview: Tview) -> Disagreement | None:
    """What the text and the view do not share, or None when they agree."""
    found: Disagreement | None = once(
        context, f"stored definition of {tview.entity}", lambda: _compare(context, tview)
    )
    return found


def _compare(context: Context, tview: Tview) -> Disagreement | None:
    snapshot = context.snapshot
    own = definitions(context).own(tview)
    if own.reads is None:
        return Disagreement(error=own.error)
    named = own.reads.relations
    direct = [
        snapshot.by_oid[r.relation]
        for r in snapshot.reads_of.get(tview.view_oid, ())
        if r.relation in snapshot.by_oid
    ]
    unread = {r.oid: r for r in direct}
    unmatched = []
    for schema, name in named:
        if schema in ("pg_catalog", "information_schema"):
            continue  # never among the relations of a snapshot
        matching = [r for r in direct if r.name == name and schema in (None, r.schema)]
        for relation in matching:
            unread.pop(relation.oid, None)
        if not matching:
            unmatched.append((schema, name))
    if not unmatched and not unread:
        return None
    exists = {(r.schema, r.name) for r in snapshot.relations}
    names = {name for _, name in exists}
    gone = [(s, n) for s, n in unmatched if ((s, n) not in exists if s else n not in names)]
    left = sorted(unread.values(), key=lambda r: r.qualified)
    if gone and len(gone) == len(unmatched) == len(left):
        return Disagreement(
            renamed=tuple(zip(map(_dotted, gone), _paired(gone, left), strict=True))
        )
    return Disagreement(
        only_text=tuple(map(_dotted, unmatched)), only_view=tuple(r.qualified for r in left)
    )


def _paired(gone: list[Any], left: list[Relation]) -> list[str]:
    """The new name of each old one: that which kept the bare name, else in order."""
    rest = list(left)
    paired = []
    for _, name in gone:
        chosen = next((r for r in rest if r.name == name), rest[0])
        rest.remove(chosen)
        paired.append(chosen.qualified)
    return paired


def _dotted(name: tuple[str | None, str]) -> str:
    return f"{name[0]}.{name[1]}" if name[0] else name[1]
