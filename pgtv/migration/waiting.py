"""Who waits for a statement: its locks and rewrites, put into words."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from pgtv.migration.copy import Copy
from pgtv.migration.model import Effect, Mode, What
from pgtv.migration.words import listed, readable

PAGE = 8192  # bytes; relpages counts these in every usual build


def waiting(
    copy: Copy, locks: Mapping[int, Mode], rewrites: Container[int], scans: Container[int]
) -> Iterator[Effect]:
    """Locks that stop writers, and files that are written anew.

    A lock that is held for an instant is a warning while lock_timeout is not set: it waits behind the
    longest open transaction, and everybody else behind it.
    """
    for mode in (Mode.ACCESS_EXCLUSIVE, Mode.EXCLUSIVE, Mode.SHARE_ROW_EXCLUSIVE, Mode.SHARE):
        oids = [o for o, m in locks.items() if m is mode and copy.relation(o).kind != "v"]
        if not oids:
            continue
        tables = listed(copy.label(o) for o in oids)
        tviews = tuple(dict.fromkeys(
            t.label for o in oids for t in [*([copy.tview(o)] if copy.tview(o) else []), *copy.affected(o)]
            if t is not None
        ))  # fmt: skip
        who = "readers and writers" if mode.stops_readers else "writers"
        held = [o for o in oids if o in rewrites or o in scans]
        text = f"{mode} on {tables}: {who} of it wait"
        if tviews:
            text += f" (TVIEWs: {listed(tviews)})"
        rewritten = [o for o in held if o in rewrites]
        if rewritten:
            text += f" while {size(copy, rewritten)} are written anew"
        elif held:
            text += f" while {size(copy, held)} are read"
        elif copy.timeout or copy.local_timeout:
            text += ", for an instant; lock_timeout is set"
        else:
            text += ", for an instant once it has the lock; no lock_timeout is set before it"
        what = What.REWRITES if rewritten else What.WAITS
        if not held and (copy.timeout or copy.local_timeout):
            what = What.NOTE
        yield Effect(what, text, tviews)


def size(copy: Copy, oids: Iterable[int]) -> str:
    """`about 1.2 GB`, by what the planner knows of the tables' files."""
    pages = [copy.relation(o).relpages for o in oids]
    if any(p <= 0 for p in pages) and not sum(p for p in pages if p > 0):
        return "all their rows (how many is not known: never analyzed)"
    return f"about {readable(sum(max(p, 0) for p in pages) * PAGE)}"
