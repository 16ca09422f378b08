"""Who uses a column, a table, a key; and what falls when CASCADE takes it away."""

from __future__ import annotations

from collections.abc import Iterable

from pgtv.catalog.model import Index, Tview
from pgtv.migration.copy import Copy
from pgtv.migration.heard import Heard
from pgtv.migration.model import Mode
from pgtv.migration.words import listed


def used_by(
    copy: Copy, oid: int, column: str | None, users: Iterable[int]
) -> tuple[list[Tview], str]:
    """TVIEWs that stand on a use of a relation (of a column of it), and in words how they use it."""
    tviews: dict[int, Tview] = {}
    words = []
    for user in dict.fromkeys(users):
        tview = copy.backing(user)
        if tview is not None:
            tviews[tview.table_oid] = tview
            reader, name = tview.table_oid, tview.label
        else:
            reader, name = user, copy.label(user)
            tviews.update({t.table_oid: t for t in copy.nearest(user)})
        uses = _uses(copy, reader, oid, column)
        words.append(f"{name}: {uses}" if uses else name)
    if len(words) == 1:
        words = [words[0].partition(": ")[2] or "as a whole"]
    return sorted(tviews.values(), key=lambda t: t.label), "; ".join(words)


def _uses(copy: Copy, reader: int, oid: int, column: str | None) -> str:
    """`output, join`, as the definition's text has it."""
    lineage = copy.lineage(reader)
    if column is None or lineage is None or lineage.reads is None:
        return ""
    among = set(copy.roots(oid))
    found = {
        use
        for (name, read), uses in lineage.reads.columns.items()
        if lineage.relations.get(name) in among and read == column
        for use in uses
    }
    return ", ".join(sorted(found))


def keys_used(copy: Copy, oid: int, index: Index) -> tuple[list[tuple[str, list[int]]], list[int]]:
    """Foreign keys that refer to a table (name of who has it, its other end), views that group by it.

    A foreign key may stand on another key of the table: then the server is more lenient than this.
    """
    own = copy.relation(oid).qualified
    referring = (
        [(table, ends) for _, table, ends in copy.foreign_keys(oid) if table != own]
        if index.primary
        else []
    )
    views = (
        [u for u in copy.users(oid) if copy.relation(u).rule_on_constraint] if index.primary else []
    )
    return referring, views


def falling(heard: Heard, users: Iterable[int]) -> list[Tview]:
    """TVIEWs that go when views `users` are dropped with CASCADE; locks what the server then locks.

    The extension drops the table of a TVIEW whose view goes, and what reads that table follows.
    """
    copy = heard.copy
    gone: dict[int, None] = {}
    tviews: dict[int, Tview] = {}
    pending = list(users)
    while pending:
        view = pending.pop()
        if view in gone:
            continue
        gone[view] = None
        tview = copy.backing(view) or copy.tview(view)
        if tview is not None:
            tviews[tview.table_oid] = tview
            gone.update({tview.table_oid: None, tview.view_oid: None})
            pending += [u for u in copy.users(tview.table_oid) if u not in gone]
        pending += [u for u in copy.users(view) if u not in gone]
    for oid in (*gone, *copy.carrying(t.entity for t in tviews.values())):
        if oid in copy.snapshot.by_oid:
            heard.lock(oid, Mode.ACCESS_EXCLUSIVE)
    if gone:
        heard.then.append(lambda: copy.drop(gone))
    return copy.graph.in_order(tviews.values())


def described(copy: Copy, users: Iterable[int]) -> str:
    """Views and TVIEWs by name."""
    return listed(t.label if (t := copy.backing(u)) else copy.label(u) for u in users)
