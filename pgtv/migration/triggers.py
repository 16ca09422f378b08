"""Triggers: what disabling, enabling, dropping one means for the TVIEWs that it serves."""

from __future__ import annotations

from pgtv.catalog.model import Trigger, Tview
from pgtv.definitions.parse import Node
from pgtv.migration.heard import Heard


def _served(heard: Heard, triggers: list[Trigger]) -> list[Tview]:
    entities = {t.entity for t in triggers}
    return [t for t in heard.copy.snapshot.tviews if t.entity in entities]


def switch(heard: Heard, oid: int, what: str, name: str | None, only: bool) -> None:
    """ALTER TABLE … ENABLE or DISABLE TRIGGER: of a name, USER or ALL."""
    copy = heard.copy
    every = what.endswith(("All", "User"))
    targets = [oid, *([] if only else copy.parts(oid))]
    ours = [t for o in targets for t in copy.triggers(o) if every or t.name == name]
    tviews = _served(heard, ours)
    tview = copy.tview(oid)
    if what.startswith(("AT_EnableTrig",)):
        heard.say("enable-triggers", oid, only=only)
        heard.then.append(lambda: _on(heard, ours))
    elif what == "AT_EnableAlwaysTrig" and ours:
        heard.say("enable-always", oid, tviews=tviews)
    elif not ours or (only and copy.parts(oid)):
        # partitions keep triggers of their own
        heard.say("disable-triggers/others" if every else "disable-trigger", oid, only=only)
    elif tview is not None:
        heard.say("tview-triggers", oid, tviews=tviews)
        heard.then.append(lambda: _off(heard, ours))
    elif not every and all(t.kind == "flush" for t in ours):
        _one_flush(heard, oid, ours, tviews)
    else:
        heard.say("disable-triggers", oid, tviews=tviews, only=only)
        heard.then.append(lambda: _off(heard, ours))


def _one_flush(heard: Heard, oid: int, ours: list[Trigger], tviews: list[Tview]) -> None:
    """Any flush trigger of a table writes the whole queue: the last one that goes is the outage."""
    off = heard.copy.disabled
    left = [
        t for t in heard.copy.triggers(oid)
        if t.kind == "flush" and t not in ours and t.oid not in off and t.enabled in "OA"
    ]  # fmt: skip
    heard.say("disable-trigger" if left else "disable-flush", oid, tviews=tviews)
    heard.then.append(lambda: off.update(t.oid for t in ours))


def _off(heard: Heard, ours: list[Trigger]) -> None:
    for trigger in ours:
        heard.copy.disabled.add(trigger.oid)
        if trigger.kind in ("row", "delta") and trigger.entity:
            heard.copy.off.setdefault(trigger.relation, set()).add(trigger.entity)


def _on(heard: Heard, ours: list[Trigger]) -> None:
    for trigger in ours:
        heard.copy.disabled.discard(trigger.oid)
        if trigger.entity:
            heard.copy.off.get(trigger.relation, set()).discard(trigger.entity)


def create_trigger(heard: Heard, node: Node) -> None:
    oid = heard.named(node["relation"])
    if oid is None:
        return
    rule = "tview-trigger" if heard.copy.tview(oid) else "create-trigger"
    heard.say(rule, oid)


def drop_trigger(heard: Heard, oid: int, name: str) -> None:
    ours = [t for t in heard.copy.triggers(oid) if t.name == name]
    if not ours:
        heard.say("drop-trigger", oid)
        return
    heard.say("drop-trigger/ours", oid, tviews=_served(heard, ours))
    heard.then.append(lambda: _off(heard, ours))


def rename_trigger(heard: Heard, oid: int) -> None:
    heard.say("rename-trigger", oid)
