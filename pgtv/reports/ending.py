"""What ending prepared transactions would do and did, for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from pgtv.pasted import connect_line
from pgtv.repairs.ending import ENDED, Ending, Outcome, Owed, Receipt
from pgtv.reports.twophase import what, who
from pgtv.rows.written import TouchedTview
from pgtv.shown import one_line, plural, printable


def planned(receipt: Receipt, untested: Mapping[str, str] = MappingProxyType({})) -> str:
    """A dry run: a script for psql, and what pgtv does besides.

    untested: by database, why rows are not brought there.
    """
    lines = []
    for database, endings in _by_database(receipt):
        lines += [connect_line(database)]
        for ending in endings:
            one = ending.transaction
            lines += [f"-- {one_line(who(one))}", f"-- {one_line(what(one))}", ending.statement]
        touched = sorted({label for e in endings for label in e.transaction.tviews})
        if touched:
            names = " ".join(shlex.quote(t) for t in touched)
            then = f"-- then verify and repair: pgtv refresh {names} --apply"
            if why := untested.get(database):
                then = f"-- then verify, and merge nothing ({why}): pgtv verify {names}"
            lines.append(one_line(then))
    lines += [one_line(f"-- left alone: {x.gid} in {x.database}: {x.why}") for x in receipt.left]
    return "".join(f"{line}\n" for line in lines)


def _by_database(receipt: Receipt) -> Iterator[tuple[str, list[Ending]]]:
    for database in dict.fromkeys(e.transaction.database for e in receipt.endings):
        yield database, [e for e in receipt.endings if e.transaction.database == database]


def applied(receipt: Receipt) -> Iterator[str]:
    """What was done, a line each."""
    for ending in receipt.endings:
        yield f"{ending.outcome:10} {one_line(ending.transaction.gid)}: {_end_text(ending)}"
    for row in receipt.rows:
        yield f"{row['end']:10} {one_line(_row_text(row))}"


def _end_text(ending: Ending) -> str:
    if ending.outcome is Outcome.DONE:
        return str(ending.ended)
    if ending.outcome is Outcome.GONE:
        if ending.ended == ENDED[ending.action]:
            return f"somebody else was faster: {ending.ended}, as you wanted"
        if ending.ended:
            return f"somebody else was faster: {ending.ended}"
        return "somebody else was faster; how it ended the server no longer knows"
    return one_line(printable(ending.error or "not attempted"))


def _row_text(row: TouchedTview) -> str:
    text = row["tview"]
    if row["differing"]:
        more = "at least " if row["at_least"] else ""
        rows = f"{more}{plural(row['differing'], 'row')}"
        text += (
            f": {rows} differ"
            if row["end"] == "differs"
            else f": {rows} differed, {row['inserted']} inserted, {row['updated']} changed,"
            f" {row['deleted']} deleted"
        )
    return text + (f": {row['reason']}" if row["reason"] else "")


def still_owed(owed: Iterable[Owed]) -> Iterator[str]:
    """A line for each database in which rows are owed."""
    left = list(owed)
    for database in dict.fromkeys(o.database for o in left):
        mine = [o for o in left if o.database == database]
        names = ", ".join(o.tview for o in mine)
        text = f"rows are owed in {database}: {names}"
        if any(one.noted for one in mine):
            text += "; this brings them there: pgtv repair --apply"
        for one in mine:
            if not one.noted:
                text += f"; nothing there says so for {one.tview}: {one.why}"
            elif one.why:
                text += f"; the note of {one.tview} stays: {one.why}"
        yield one_line(text)
