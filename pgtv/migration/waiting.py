"""Who waits for a statement: its locks and rewrites, put into words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgtv.migration.model import Effect, Mode, What

if TYPE_CHECKING:
    from pgtv.migration.heard import Heard

PAGE = 8192  # bytes; relpages counts these in every usual build


def waiting(heard: Heard) -> Iterator[Effect]:
    """Locks that stop writers, and files that are written anew.

    A lock that is held for an instant is a warning while lock_timeout is not set: it waits behind the
    longest open transaction, and everybody else behind it.
    """
    copy = heard.copy
    from pgtv.migration.heard import listed

    for mode in (Mode.ACCESS_EXCLUSIVE, Mode.EXCLUSIVE, Mode.SHARE_ROW_EXCLUSIVE, Mode.SHARE):
        oids = [o for o, m in heard.locks.items() if m is mode and copy.relation(o).kind != "v"]
        if not oids:
            continue
        tables = listed(copy.label(o) for o in oids)
        tviews = tuple(dict.fromkeys(
            t.label for o in oids for t in [*([copy.tview(o)] if copy.tview(o) else []), *copy.affected(o)]
            if t is not None
        ))  # fmt: skip
        who = "readers and writers" if mode.stops_readers else "writers"
        held = [o for o in oids if o in heard.rewritten or o in heard.scanned]
        text = f"{mode} on {tables}: {who} of it wait"
        if tviews:
            text += f" (TVIEWs: {listed(tviews)})"
        rewritten = [o for o in held if o in heard.rewritten]
        if rewritten:
            text += f" while {size(heard, rewritten)} are written anew"
        elif held:
            text += f" while {size(heard, held)} are read"
        elif copy.timeout or copy.local_timeout:
            text += ", for an instant; lock_timeout is set"
        else:
            text += ", for an instant once it has the lock; no lock_timeout is set before it"
        what = What.REWRITES if rewritten else What.WAITS
        if not held and (copy.timeout or copy.local_timeout):
            what = What.NOTE
        yield Effect(what, text, tviews)


def size(heard: Heard, oids: list[int]) -> str:
    """`about 1.2 GB`, by what the planner knows of the tables' files."""
    pages = [heard.copy.relation(o).relpages for o in oids]
    if any(p <= 0 for p in pages) and not sum(p for p in pages if p > 0):
        return "all their rows (how many is not known: never analyzed)"
    return f"about {readable(sum(max(p, 0) for p in pages) * PAGE)}"


def readable(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:,.1f} {unit}"
