"""ALTER TABLE statements that disable triggers, and that give each the state it had.

A row trigger of a partitioned table has a copy on every partition, which is what fires. ALTER TABLE on
the root sets the copies too, also on partitions attached since; copies that differed from their root
get their own state after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot, Trigger
from pgtv.checks.leases import Held

SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
_WORDS = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}


def trees(snapshot: Snapshot, triggers: Iterable[Trigger]) -> list[list[Trigger]]:
    """The triggers of each table; those of a partitioned one with those of its partitions."""
    found: dict[int, list[Trigger]] = {}
    for trigger in triggers:
        table = snapshot.by_oid.get(trigger.relation)
        root = (table.partition_root if table else None) or trigger.relation
        found.setdefault(root, []).append(trigger)
    return [tree for _, tree in sorted(found.items())]


def locked(snapshot: Snapshot, tree: list[Trigger], statements: Iterable[str]) -> list[str]:
    """One transaction that locks the tables first, partitions by way of their root: a partition
    may belong to somebody else."""
    tables = {t.relation for t in tree}
    names = []
    for oid in sorted(tables):
        table = snapshot.by_oid.get(oid)
        if not (table and table.partition_root in tables and table.partition_root != oid):
            only = "" if table and table.kind == "p" else "ONLY "
            names.append(only + snapshot.name_of(oid))
    lock = f"LOCK TABLE {', '.join(names)} IN {SHARE_ROW_EXCLUSIVE} MODE;"
    return ["BEGIN;", lock, *statements, "COMMIT;"]


def disabling(snapshot: Snapshot, triggers: Iterable[Trigger]) -> Iterator[str]:
    """One ALTER TABLE a table, for what fires of `triggers` or of their copies."""
    ours = list(triggers)
    copies = _copies(ours)
    present = {t.oid for t in ours}
    for relation, own in _by_relation(t for t in ours if t.parent not in present):
        names = [
            t.name
            for t in own
            if t.enabled != "D" or any(c.enabled != "D" for c in _below(t, copies))
        ]
        if names:
            yield _alter(snapshot, relation, "DISABLE", names)


def restoring(snapshot: Snapshot, back: Iterable[Held]) -> Iterator[str]:
    """Gives each trigger the state recorded of it; one that has it already is left alone."""
    ours = {h.trigger.oid: h for h in back}
    copies = _copies(h.trigger for h in ours.values())
    roots = [h.trigger for h in ours.values() if h.trigger.parent not in ours]
    now = {oid: h.trigger.enabled for oid, h in ours.items()}
    wanted = {oid: h.record.enabled for oid, h in ours.items()}
    for relation, own in _by_relation(roots):
        for state, word in _WORDS.items():
            names = []
            for t in own:
                like_root = [o for o in (t, *_below(t, copies)) if wanted[o.oid] == wanted[t.oid]]
                if wanted[t.oid] == state and any(now[o.oid] != state for o in like_root):
                    names.append(t.name)
                    now.update({o.oid: state for o in (t, *_below(t, copies))})
            if names:
                yield _alter(snapshot, relation, word, names)
    left = [h.trigger for h in ours.values() if now[h.trigger.oid] != wanted[h.trigger.oid]]
    for relation, own in _by_relation(left):
        for state, word in _WORDS.items():
            names = [t.name for t in own if wanted[t.oid] == state]
            if names:
                yield _alter(snapshot, relation, word, names, only="ONLY ")


def _alter(
    snapshot: Snapshot, relation: int, word: str, names: Iterable[str], only: str = ""
) -> str:
    actions = ",\n  ".join(f"{word} TRIGGER {ident(n)}" for n in sorted(names))
    return f"ALTER TABLE {only}{snapshot.name_of(relation)}\n  {actions};"


def _by_relation(triggers: Iterable[Trigger]) -> Iterator[tuple[int, list[Trigger]]]:
    found: dict[int, list[Trigger]] = {}
    for trigger in triggers:
        found.setdefault(trigger.relation, []).append(trigger)
    yield from sorted(found.items())


def _copies(triggers: Iterable[Trigger]) -> dict[int, list[Trigger]]:
    found: dict[int, list[Trigger]] = {}
    for trigger in triggers:
        if trigger.parent is not None:
            found.setdefault(trigger.parent, []).append(trigger)
    return found


def _below(trigger: Trigger, copies: dict[int, list[Trigger]]) -> list[Trigger]:
    """Its copies and theirs."""
    return [c for copy in copies.get(trigger.oid, ()) for c in (copy, *_below(copy, copies))]
