"""Puts the note that rows are owed around a plan, so that a run that dies leaves them on record.

See pgtv.rows.owing for what the note is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pgtv.catalog.dialects.base import Dialect, ident
from pgtv.catalog.model import Relation, Snapshot
from pgtv.plan import Step
from pgtv.rows.owing import forget, is_owed, note

TITLE = "Note on the backing views that rows are owed, should this not come to its end"
_MADE = re.compile(r"CREATE VIEW (?P<name>.+?) AS\n")


def remember(
    snapshot: Snapshot,
    dialect: Dialect,
    cures: Sequence[Step],
    owed: Iterable[str],
    comments: Mapping[str, str | None] = MappingProxyType({}),
) -> list[Step]:
    """`cures`, before them the note for each of the tables `owed`; where a cure makes the backing view
    anew, in its transaction.

    comments: by table, what a cure gives its view, as for `settle`.
    """
    views = {label: backing_view(snapshot, dialect, label) for label in owed}
    made = {name: comments.get(label) for label, (name, _) in views.items() if name}
    steps = [_within(step, made) for step in cures if step.statements or step.merge]
    standing = [v for _, v in views.values() if v is not None and not is_owed(v.comment)]
    if not standing or not steps:
        return steps
    first = Step(
        phase="installation",
        title=TITLE,
        statements=(
            "BEGIN;",
            *(note(v.qualified, v.comment) for v in standing),
            "COMMIT;",
        ),
        role="the owner of the TVIEWs, or a superuser",
        locks=tuple(f"SHARE UPDATE EXCLUSIVE on {v.qualified}" for v in standing),
        undo=tuple(forget(v.qualified, v.comment) for v in standing),
        tviews=tuple(label for label, (_, v) in views.items() if v in standing),
    )
    return [first, *steps]


def settle(
    snapshot: Snapshot,
    dialect: Dialect,
    step: Step,
    owed: Iterable[str],
    comments: Mapping[str, str | None] = MappingProxyType({}),
) -> Step:
    """A step that brings rows, and takes the note for `owed` away once they are right."""
    views = {label: backing_view(snapshot, dialect, label) for label in owed}
    statements = tuple(
        forget(name, comments.get(label) or (view.comment if view else None))
        for label, (name, view) in views.items()
        if name
    )
    command = step.command or ("pgtv repair --apply" if step.merge and statements else None)
    return replace(step, statements=(*step.statements, *statements), command=command)


def narrowed(steps: Iterable[Step]) -> list[Step]:
    """The notes of a plan that lost some of its steps: only for TVIEWs whose rows it still brings."""
    kept = list(steps)
    brought = {t for s in kept if s.phase == "rows" for t in s.tviews}
    return [one for s in kept for one in ((s,) if s.title != TITLE else _narrow(s, brought))]


def _narrow(step: Step, tviews: Collection[str]) -> Iterator[Step]:
    chosen = [n for n, label in enumerate(step.tviews) if label in tviews]
    begin, *notes, commit = step.statements
    if chosen:
        yield replace(
            step,
            statements=(begin, *(notes[n] for n in chosen), commit),
            locks=tuple(step.locks[n] for n in chosen),
            undo=tuple(step.undo[n] for n in chosen) if step.undo else None,
            tviews=tuple(step.tviews[n] for n in chosen),
        )


def still_owed(steps: Iterable[Step]) -> list[str]:
    """TVIEWs that these steps note and do not settle: rows were not asked for."""
    noted: dict[str, None] = {}
    for step in steps:
        if step.title == TITLE:
            noted.update(dict.fromkeys(step.tviews))
        elif step.phase == "rows":
            noted = {t: None for t in noted if t not in step.tviews}
    return list(noted)


def backing_view(
    snapshot: Snapshot, dialect: Dialect, label: str
) -> tuple[str | None, Relation | None]:
    """Qualified name of the backing view of a table, and the view where it stands."""
    table = next((r for r in snapshot.relations if r.qualified == label), None)
    schema = snapshot.extension.schema
    if table is None or schema is None:
        return None, None
    name = dialect.backing_view(table.schema, table.name)
    tview = snapshot.tview_by_table.get(table.oid)
    view = snapshot.by_oid.get(tview.view_oid) if tview else None
    view = view or snapshot.by_name.get((schema, name))
    if view is not None and view.kind == "v" and view.schema == schema:
        return view.qualified, view
    return f"{ident(schema)}.{ident(name)}", None


def _within(step: Step, comments: Mapping[str, str | None]) -> Step:
    """The note at the end of the transaction that makes one of these views; by name, its comment."""
    statements: list[str] = []
    made: list[str] = []
    for statement in step.statements:
        found = _MADE.match(statement)
        if found and found["name"] in comments:
            made.append(found["name"])
        if statement == "COMMIT;":
            statements += [note(name, comments[name]) for name in made]
            made = []
        statements.append(statement)
    return replace(step, statements=tuple(statements))
