"""What PostgreSQL tells only under ACCESS SHARE on user relations: definitions, conditions, sizes.

It is asked last, left out (each with a Gap) where somebody holds or awaits ACCESS EXCLUSIVE and we
would wait, and its locks are given back at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pgtv.catalog import model, queries
from pgtv.catalog.asking import Asking, Row, array

_HELD = "ACCESS EXCLUSIVE is held or awaited on what it reads"


@dataclass(frozen=True)
class Printed:
    """By OID: definitions of views, bytes of TVIEWs' tables, and triggers that have a condition."""

    views: dict[int, str]
    bytes: dict[int, tuple[int, int]]  # of the main fork, and of TOAST and indexes
    triggers: dict[int, str]


def ask(
    run: Asking,
    relations: Collection[Row],
    triggers: Iterable[Row],
    reads: Iterable[model.Read],
    locks: Iterable[model.Lock],
    registered: Sequence[model.Tview],
) -> Printed:
    """relations and triggers are the answers to RELATIONS and TRIGGERS."""
    held = {k.relation for k in locks if k.mode == "AccessExclusiveLock" and k.relation}
    names = {r["oid"]: r["qualified"] for r in relations}
    read_by: dict[int, set[int | None]] = {}
    for read in reads if held else ():
        read_by.setdefault(read.reader, set()).add(read.relation)
    views = []
    for relation in relations:
        oid = relation["oid"]
        if relation["kind"] not in "vm":
            continue
        if held & (read_by.get(oid, set()) | {oid}):
            run.gap("view_definition", _HELD, (), relation["qualified"])
        else:
            views.append(oid)
    conditional = []
    for trigger in triggers:
        if not trigger["when"]:
            continue
        if trigger["relation"] in held:
            name = names.get(trigger["relation"], f"(relation {trigger['relation']})")
            run.gap("trigger_definition", _HELD, (), name)
        else:
            conditional.append(trigger["oid"])
    measured = []
    for tview in registered:
        if tview.table_oid in held:
            run.gap("size", _HELD, (), names.get(tview.table_oid, tview.name))
        elif tview.table_oid in names:
            measured.append(tview.table_oid)
    sizes = run.ask("size", queries.SIZES if measured else None, {"tables": array(measured)})
    defined = run.ask(
        "view_definition", queries.VIEWDEFS if views else None, {"views": array(views)}
    )
    printed = run.ask(
        "trigger_definition", queries.TRIGGERDEFS if conditional else None,
        {"triggers": array(conditional)},
    )  # fmt: skip
    return Printed(
        views={
            r["oid"]: r["definition"].rstrip().removesuffix(";")
            for r in defined.rows() or ()
            if r["definition"]
        },
        bytes={r["oid"]: (r["bytes"], r["more_bytes"]) for r in sizes.rows() or ()},
        triggers={r["oid"]: r["definition"] for r in printed.rows() or ()},
    )
