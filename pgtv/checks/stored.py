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


@dataclass(frozen=True)
class Disagreement:
    """renamed: (name in the text, name now) where the text's name belongs to nothing any more.

    only_text, only_view: relations that one of them reads and the other does not.
    error: why the text is no definition at all.
    """

    renamed: tuple[tuple[str, str], ...] = ()
    only_text: tuple[str, ...] = ()
    only_view: tuple[str, ...] = ()
    error: str | None = None


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
