"""What takes a receipt's steps back, and whether the database still stands as they left it.

A way back was written for the state that the cure left. Where somebody has dropped, renamed or changed
what it is about since, it would fail half-way, or take back what is somebody else's: so each receipt
notes what its run left of the objects that its undo statements name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pgtv.catalog.diff import KINDS
from pgtv.catalog.model import Snapshot
from pgtv.plan import Left, ObjectState, Plan, Receipt, Step
from pgtv.repairs.remembering import TITLE

# Settings are those of the session that looks, which keeps its own; the others are no objects.
_NOT_TOLD = ("setting", "server")
_SIMPLE = re.compile(r'"([a-z_][a-z0-9_]*)"')
NO_WAY_BACK = "it cannot be taken back"
WAS_WRONG = "what was overwritten was wrong, and is not put back; the old values are in the receipt"


def plan_of(receipt: Receipt) -> Plan:
    """A plan of the undo statements of the steps that were done, last first.

    What is installed first stays where a later step does, which stands on it: the extension, with the
    registrations in its tables, and the note that rows are owed, of which nothing else would tell.
    """
    done = sorted({d.step for d in receipt.done if d.outcome == "done"}, reverse=True)
    chosen = [receipt.plan.steps[number - 1] for number in done]
    stays = False
    brought = any(step.phase == "rows" for step in chosen)
    steps: list[Step] = []
    left: list[Left] = []
    for step in chosen:
        if step.title == TITLE and brought:
            continue  # it was taken away with them
        if step.phase == "installation" and stays:
            owed = step.title == TITLE
            why = "rows are owed still: pgtv repair --apply" if owed else "what stays needs it"
            left.append(Left(step.title, why))
        elif step.undo is None:
            left.append(Left(step.title, _why_not(step)))
            stays = stays or step.phase != "rows"
        else:
            steps.append(
                replace(
                    step, title=f"Take back: {step.title}", statements=step.undo,
                    undo=step.statements, cures=(), note=None,
                )
            )  # fmt: skip
    return replace(receipt.plan, steps=tuple(steps), left=tuple(left))


def _why_not(step: Step) -> str:
    if step.phase == "rows":
        return f"{WAS_WRONG}, rows[].overwritten" if step.merge else WAS_WRONG.partition(";")[0]
    return f"taken back by: {step.command}" if step.command else NO_WAY_BACK


def cured(receipt: Receipt) -> set[str]:
    """The findings that the steps with a way back had cured."""
    done = {d.step for d in receipt.done if d.outcome == "done"}
    steps = [receipt.plan.steps[number - 1] for number in done]
    return {finding for s in steps if s.undo for finding in s.cures}


def noted(before: Snapshot, after: Snapshot, steps: Iterable[Step]) -> tuple[ObjectState, ...]:
    """Of the objects that the undo statements of `steps` name: what was there before and afterwards, in
    the fields that changed meanwhile."""
    text = _plain(" ".join(statement for s in steps for statement in s.undo or ()))
    found = []
    for kind, (sections, read) in KINDS.items():
        if kind in _NOT_TOLD or any(s.gap(x) for s in (before, after) for x in sections):
            continue
        old, new = read(before), read(after)
        for name in sorted(old.keys() | new.keys()):
            if _named(kind, name, old.get(name) or new.get(name) or {}, text):
                had, has = _changed(old.get(name), new.get(name))
                found.append(ObjectState(kind, name, had, has, _oid(after, kind, name)))
    return tuple(found)


def moved(objects: Sequence[ObjectState], now: Snapshot, *, back: bool = False) -> list[str]:
    """In words, how they differ now from what the run left; `back`: from what was before it."""
    seen = {kind: KINDS[kind][1](now) for kind in {o.kind for o in objects} if kind in KINDS}
    return [
        text
        for one in objects
        if one.kind in seen
        for text in _different(one, one.before if back else one.after, seen[one.kind], now)
    ]


def _different(
    one: ObjectState, wanted: dict[str, Any] | None, seen: dict[str, Any], now: Snapshot
) -> Iterator[str]:
    label, here = f"{one.kind} {one.object}", seen.get(one.object)
    if wanted is None:
        if here is not None:
            yield f"{label} is there again"
    elif here is None:
        renamed = now.by_oid.get(one.oid) if one.oid else None
        yield f"{label} is " + (f"{renamed.qualified} now" if renamed else "not there any more")
    else:
        for field, value in wanted.items():
            if field in here and _as_json(here[field]) != value:
                yield f"{label}: {field} is {_said(here[field])}, and was {_said(value)}"


def _changed(
    old: dict[str, Any] | None, new: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if old is None or new is None:
        return _as_json(old), _as_json(new)
    fields = [f for f in old if f in new and old[f] != new[f]]
    return {f: _as_json(old[f]) for f in fields}, {f: _as_json(new[f]) for f in fields}


def _as_json(value: Any) -> Any:
    """As it is read again from a file."""
    if isinstance(value, dict):
        return {k: _as_json(v) for k, v in value.items()}
    return [_as_json(v) for v in value] if isinstance(value, list | tuple) else value


def _said(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _oid(snapshot: Snapshot, kind: str, name: str) -> int | None:
    if kind != "relation":
        return None
    return next((r.oid for r in snapshot.relations if r.qualified == name), None)


def _named(kind: str, name: str, facts: dict[str, Any], text: str) -> bool:
    """Whether the statements name this object."""
    if kind == "trigger":
        relation, _, trigger = name.rpartition(": ")
        return _holds(text, relation) and _holds(text, trigger)
    if kind == "grant":
        relation, _, granted = name.rpartition(": ")
        return _holds(text, relation) and _holds(text, granted.rpartition(" to ")[2])
    if kind == "fixed setting":
        return all(
            _holds(text, w) for w in re.split(r" (?:in database|for role|of function) ", name)
        )
    if kind == "extension":
        return "EXTENSION" in text
    return _holds(text, name) or (kind == "TVIEW" and _holds(text, str(facts.get("entity"))))


def _holds(text: str, name: str) -> bool:
    plain = re.escape(_plain(name))
    return re.search(rf'(?<![\w."$]){plain}(?![\w."$])', text) is not None or (
        re.search(rf'"{plain}"', text) is not None
    )


def _plain(text: str) -> str:
    """Without the quotes that a name does not need."""
    return _SIMPLE.sub(r"\1", text)
