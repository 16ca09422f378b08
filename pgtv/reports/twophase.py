"""Prepared transactions, and what ending them did, for people and as JSON."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from pgtv import __version__
from pgtv.checks.resolving import age
from pgtv.errors import Exit
from pgtv.finding import Severity
from pgtv.repairs.dead_letters import DeadLetter
from pgtv.repairs.ending import Receipt
from pgtv.repairs.pending import Pending, Queued
from pgtv.repairs.survey import Survey
from pgtv.repairs.twophase import Transaction
from pgtv.reports.layout import status
from pgtv.rows.prepared import Keys
from pgtv.shown import one_line, plural

SCHEMA = "pgtv.2pc/1"
_LABEL = 10
_TABLES = 20
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_SPACE = "\ue000"  # stands for a space that no line ends at
_SHOWN = 10  # names, keys, sessions or rows of one kind on a screen


@dataclass(frozen=True)
class Listing:
    """What `pgtv 2pc list` and `show` say. places: max_prepared_transactions. not_seen: what is missing
    here, and what the login needs to see it."""

    status: str
    exit_code: int
    taken_at: str
    database: str
    host: str
    port: int
    in_recovery: bool
    places: int
    transactions: tuple[Transaction, ...]
    pending: tuple[Pending, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    not_seen: tuple[str, ...] = ()
    pgtv_version: str = __version__
    schema: str = SCHEMA


def listing(survey: Survey, transactions: Iterable[Transaction], exit: Exit) -> Listing:
    """The document of these transactions of a survey."""
    server = survey.snapshot.server
    return Listing(
        status(exit), int(exit), survey.snapshot.taken_at, server.database, server.host,
        server.port, server.in_recovery, server.max_prepared_transactions, tuple(transactions),
        tuple(survey.pending), tuple(survey.dead_letters), tuple(_not_seen(survey)),
    )  # fmt: skip


def _not_seen(survey: Survey) -> Iterator[str]:
    for name, snapshot in survey.looked.items():
        for gap in snapshot.gaps:
            if gap.section in ("prepared", "locks", "sessions"):
                needs = f" (needs {', '.join(gap.needs)})" if gap.needs else ""
                yield f"{gap.section} in {name}: {gap.reason}{needs}"


def as_json(document: Listing | Receipt) -> str:
    return json.dumps(asdict(document), ensure_ascii=False, indent=2) + "\n"


def summary(document: Listing, width: int = 100) -> str:
    """`list`: a paragraph each, oldest first."""
    lines = [_head(document)]
    for one in document.transactions:
        lines += ["", f"{one.severity.upper():9} {one_line(one.gid)}", *_brief(one, width)]
    for queue in document.pending:
        lines += ["", *_queue(queue, width)]
    if document.dead_letters:
        lines += ["", "ENDED by pgtv, newest first", *_dead(document.dead_letters, width)]
    for text in document.not_seen if document.transactions else ():
        lines += _wrap("not seen", text, width)
    return "".join(f"{line}\n" for line in lines)


def quiet(document: Listing) -> str:
    """One line each, for grep."""
    return "".join(
        one_line(f"{t.severity.upper():9} {t.gid}: {who(t)}; {what(t)}") + "\n"
        for t in document.transactions
        if t.severity != Severity.INFO
    )


def _head(document: Listing) -> str:
    if document.in_recovery:
        return "This server is a standby: prepared transactions are seen on the primary only."
    if not document.transactions:
        return "No prepared transaction" + (
            "" if document.places else ": max_prepared_transactions is 0"
        )
    count = plural(len(document.transactions), "prepared transaction")
    return f"{count} of {document.places} that have room"


def _brief(one: Transaction, width: int) -> Iterator[str]:
    yield from _wrap("", who(one), width)
    yield from _wrap("", what(one), width)
    if one.coordinator:
        yield from _wrap("", f"looks like {one.coordinator}", width)


def who(one: Transaction) -> str:
    text = f"prepared {age(one.age_seconds)} ago by {one.owner} in {one.database}"
    return f"{text}, {plural(one.xid_age, 'transaction')} since"


def what(one: Transaction) -> str:
    if not one.looked:
        return f"what it holds is not known: {one.reason}"
    parts = []
    if one.waiting:
        count = len(one.waiting)
        verb = "waits" if count == 1 else "wait"
        longest = age(one.waiting[0].seconds)
        parts.append(f"{plural(count, 'session')} {verb} for it, the longest for {longest}")
    if one.exclusive:
        parts.append(f"readers and writers of {_names(one.exclusive)} wait")
    if one.tviews:
        parts.append(f"its writes reach {_names(one.tviews)}")
    elif one.touches_tviews:
        parts.append("holds locks on tables of TVIEWs, wrote none")
    else:
        parts.append("touches no TVIEW and no table that one reads")
    if one.unlogged:
        parts.append(f"UNLOGGED: {_names(one.unlogged)}")
    return "; ".join(parts)


def detail(one: Transaction, connection: str = "", width: int = 100, *, acts: bool = True) -> str:
    """`show`: all that is known, and the two statements; `acts`: pgtv can run them."""
    lines = [f"{one.severity.upper():9} {one_line(one.gid)}"]
    lines += _wrap("", f"{who(one)} ({one.prepared_at})", width)
    if one.coordinator:
        lines += _wrap("looks like", one.coordinator, width)
    held = "nothing seen is older" if one.oldest else "something older holds it back further"
    lines += _wrap("vacuum", f"kept from rows that died since transaction {one.xid}; {held}", width)
    if not one.looked:
        lines += _wrap("holds", f"not known: {one.reason}", width)
    lines += _waiters(one, width)
    if one.exclusive:
        why = "prepared while triggers were suspended, or it refreshed, truncated or altered them"
        lines += _wrap("closed", f"nobody can read {', '.join(one.exclusive)}: {why}", width)
    if one.unlogged:
        why = "after a crash and COMMIT PREPARED its rows are missing there, until repaired"
        lines += _wrap("UNLOGGED", f"{', '.join(one.unlogged)}: {why}", width)
    for i, held_table in enumerate(one.holds[:_TABLES]):
        about = {True: " (a TVIEW)", False: "", None: " (no TVIEW's)"}[held_table.tview]
        label = "" if i else "holds"
        lines += _wrap(label, f"{held_table.mode} on {held_table.relation}{about}", width)
    lines += _more(one.holds, width)
    if one.tviews:
        lines += _wrap("reaches", ", ".join(one.tviews), width)
    lines += _keys(one, width)
    return "".join(f"{x}\n" for x in [*lines, *_statements(one, connection, width, acts)])


def _waiters(one: Transaction, width: int) -> Iterator[str]:
    for i, w in enumerate(one.waiting[:_SHOWN]):
        who = f"pid {w.pid} ({w.user or 'a role'}{', ' + w.application if w.application else ''})"
        text = f"{who} for {age(w.seconds)}, wants {w.mode}: {w.query or 'its query is hidden'}"
        yield from _wrap("" if i else "waiting", text, width)
    if len(one.waiting) > _SHOWN:
        yield from _wrap("", f"and {len(one.waiting) - _SHOWN} more", width)


def _keys(one: Transaction, width: int) -> Iterator[str]:
    if one.keys is None:
        if one.locked_values:
            yield from _wrap("keys", f"it locks {plural(one.locked_values, 'single value')}", width)
        return
    told = [(k.relation, text) for k in one.keys if (text := _key_text(k))]
    for i, (relation, text) in enumerate(told[:_TABLES]):
        yield from _wrap("" if i else "keys", f"{relation}: {text}", width)
    yield from _more(told, width)
    if one.keys and not told:
        yield from _wrap("keys", "no row that others can see", width)


def _more(tables: Sequence[object], width: int) -> list[str]:
    more = len(tables) - _TABLES
    return _wrap("", f"and {more} more tables (--format json has all)", width) if more > 0 else []


def _key_text(table: Keys) -> str:
    if table.reason:
        return f"not seen: {table.reason}"
    parts = []
    if table.changed:
        shown = [", ".join(str(v) for v in key) for key in table.keys[:_SHOWN]]
        more = table.changed - len(shown)
        named = f" ({', '.join(table.columns)})" if table.columns else " (ctid)"
        rows = plural(table.changed, "row")
        parts.append(
            f"{rows} changed, deleted or locked{named}: {'; '.join(shown)}"
            + (f" and {more} more" if more > 0 else "")
        )
    if table.savepoint:
        parts.append(f"{table.savepoint} of them perhaps by another transaction's savepoint")
    if table.created:
        parts.append(f"creates {', '.join(table.created[:_SHOWN])}, as its locks tell")
    if table.unseen is None:
        parts.append("it locked more values than are told apart: rows that it creates are not seen")
    elif table.unseen:
        parts.append(f"at most {table.unseen} more keys cannot be seen")
    return "; ".join(parts)


def _statements(one: Transaction, connection: str, width: int, acts: bool) -> Iterator[str]:
    # statements are never wrapped: they are there to be pasted
    yield f"  {'commit':{_LABEL}}{one.commit}"
    yield f"  {'or':{_LABEL}}{one.rollback}"
    where = (
        f"as {one.owner} or a superuser, in database {one.database}, outside a transaction block"
    )
    yield from _wrap("", where, width)
    if not acts:
        return
    on = f" {connection}" if connection else ""
    command = f"pgtv 2pc commit|rollback{on} {argument(one)} --apply"
    yield from _wrap("", f"or: {command}, which repairs the rows after", width)


def argument(one: Transaction) -> str:
    """How the transaction is named on a command line."""
    return shlex.quote(one.gid if one.gid.isprintable() else f"xid:{one.xid}")


def _queue(queue: Pending, width: int) -> Iterator[str]:
    yield f"{'WARNING':9} {one_line(queue.table)} in {one_line(queue.database)}"
    if queue.reason:
        yield from _wrap("", f"its rows could not be read: {queue.reason}", width)
        return
    orphans = [r for r in queue.rows if r.orphan]
    twice = [r for r in queue.rows if r.duplicate or r.repeated]
    yield from _wrap(
        "",
        f"{plural(len(queue.rows), 'row')} of a queue that no release reads:"
        f" {plural(len(orphans), 'orphan')}, {plural(len(twice), 'duplicate')}",
        width,
    )
    for row in queue.rows[:_SHOWN]:
        yield from _wrap("", _queued(row), width)
    if len(queue.rows) > _SHOWN:
        yield from _wrap("", f"and {len(queue.rows) - _SHOWN} more", width)


def _queued(row: Queued) -> str:
    old = f"{age(row.age_seconds)} old, " if row.age_seconds is not None else ""
    marks = ["orphan: its transaction is not prepared"] if row.orphan else []
    marks += ["duplicate: its gid has several rows"] if row.duplicate else []
    marks += [f"{row.repeated} of its entries are queued once more"] if row.repeated else []
    text = f"{row.gid}: {old}{plural(row.size, 'refresh').replace('refreshs', 'refreshes')}"
    return "; ".join([text, *marks])


def _dead(letters: Iterable[DeadLetter], width: int) -> Iterator[str]:
    for one in letters:
        text = f"{one.gid}: {one.outcome} {one.ended_at} by {one.ended_by} in {one.database}"
        yield from _wrap("", text, width)


def _names(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _wrap(label: str, text: str, width: int) -> list[str]:
    """Labelled lines; a quoted name is never broken at a space in it."""
    whole = _QUOTED.sub(lambda m: m.group().replace(" ", _SPACE), one_line(text))
    lines = textwrap.wrap(
        whole, width, initial_indent=f"  {label:{_LABEL}}",
        subsequent_indent=" " * (_LABEL + 2), break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace(_SPACE, " ") for line in lines]
