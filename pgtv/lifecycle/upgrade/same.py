"""Whether a database is, for its TVIEWs, what it was before an upgrade: by names, not by OIDs.

What has to differ after an upgrade (versions, settings of the server, names of the extension's
triggers, how a major release prints a view) is no difference; the extension's triggers are counted by
what they do.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from pgtv import fence
from pgtv.catalog.dialects.base import OWN_NAME, ident
from pgtv.catalog.diff import Change, Difference, diff
from pgtv.catalog.model import Snapshot
from pgtv.graph.edges import edges

# kinds of pgtv.catalog.diff that an upgrade must not change
KINDS = ("TVIEW", "relation", "trigger", "index", "grant", "function", "role", "event trigger")
LOST = ("TVIEW", "trigger", "grant")  # without these, rows go stale or people lose access


def compare(before: Snapshot, after: Snapshot) -> Difference:
    """What is not as before, among what should be."""
    found = diff(_theirs(before), _theirs(after))
    same_major = before.server.version_num // 10000 == after.server.version_num // 10000
    kept = [c for c in found.changes if c.kind in KINDS and (same_major or not _printed(c))]
    if before.extension.generation == after.extension.generation:
        kept += _triggers(before, after)
        kept += _privileges(before, after)
    else:
        unread = _unread(before, after)
        kept = [
            c
            for c in kept
            if (c.kind == "TVIEW" or c.object.split(": ")[0] not in unread)
            and not _of_generation(c, before, after)
        ]
    sections = {g.section for _, g in found.not_compared}
    return Difference(
        tuple(kept),
        tuple(
            (side, gap)
            for side, gap in found.not_compared
            if gap.section in sections - _UNIMPORTANT
        ),
    )


_UNIMPORTANT = frozenset({"settings", "role_settings", "subscriptions", "publications", "server"})


def _theirs(snapshot: Snapshot) -> Snapshot:
    """Without the extension's triggers and our fence, which are compared by what they do."""
    kept = [
        t
        for t in snapshot.triggers
        if not t.kind and t.function != f"{fence.SCHEMA}.{fence.FUNCTION}"
    ]
    return dataclasses.replace(snapshot, triggers=tuple(kept))


def _printed(change: Change) -> bool:
    """A view's text as the server prints it: another major may print the same view otherwise."""
    return change.kind == "relation" and change.field == "definition"


def _unread(*snapshots: Snapshot) -> set[str]:
    """Relations that no TVIEW reads, on whichever side they are.

    An early release shares its schema with people's own tables. What a TVIEW reads on one side only is
    none of these: with a lost registration its table is read by nobody any more.
    """
    there: set[str] = set()
    read: set[str] = set()
    for snapshot in snapshots:
        reach = edges(snapshot)
        there |= {r.qualified for r in snapshot.relations}
        read |= {r.qualified for r in snapshot.relations if reach.affected([r.oid])}
    return there - read


def _of_generation(change: Change, before: Snapshot, after: Snapshot) -> bool:
    """Whether a change is how another generation of the extension keeps the same TVIEWs.

    Its tables, views, triggers and options are its own; the TVIEWs, their tables and what they read
    have to be there as before.
    """
    if change.kind in ("event trigger", "trigger"):
        return True
    if change.kind == "TVIEW":
        return change.change == "changed"
    name = change.object.split(": ")[0]
    views = {r.qualified for s in (before, after) for r in s.relations if r.kind in "vm"}
    plain = name.rpartition(".")[2]
    return (
        name in views
        or re.fullmatch(OWN_NAME, plain) is not None
        or name.startswith(f"{ident(after.extension.schema or '')}.")
        or name.startswith(f"{after.extension.schema}.")
    )


def _jobs(snapshot: Snapshot) -> dict[str, list[str]]:
    """The extension's triggers by what they do for whom, and whether they fire."""
    state = {"O": "enabled", "D": "disabled", "R": "replica only", "A": "always"}
    found: dict[str, list[str]] = {}
    for t in snapshot.triggers:
        if t.kind and t.relation in snapshot.by_oid:
            job = f"{snapshot.name_of(t.relation)}: {t.kind} of {t.entity}, type {t.type}"
            found.setdefault(job, []).append(state.get(t.enabled, t.enabled))
    return {job: sorted(states) for job, states in found.items()}


def _triggers(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    if before.gap("triggers") or after.gap("triggers"):
        return
    old, new = _jobs(before), _jobs(after)
    for job in sorted(old.keys() | new.keys()):
        was, now = old.get(job), new.get(job)
        if now is None:
            yield Change("removed", "trigger", job)
        elif was is None:
            yield Change("added", "trigger", job)
        elif was != now:
            yield Change("changed", "trigger", job, "fires", ", ".join(was), ", ".join(now))


def _privileges(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    if before.gap("privileges") or after.gap("privileges"):
        return
    old, new = (
        {
            f"{p.object}: {p.privilege} {'to' if p.given else 'taken from'} {p.grantee}"
            for p in s.extension.privileges
        }
        for s in (before, after)
    )
    for name in sorted(old - new):
        yield Change("removed", "grant", name)
    for name in sorted(new - old):
        yield Change("added", "grant", name)


def lost(found: Difference) -> bool:
    """Whether something is missing that keeps rows right or people working."""
    return any(
        c.kind in LOST if c.change == "removed" else c.field == "fires" for c in found.changes
    )
