"""Brings the rows of several TVIEWs up to date: compared, merged, compared again, in dependency order.

Looking first (`apply=False`) tells how many rows differ and writes nothing. With several jobs, TVIEWs
that do not read each other are brought side by side, and one that stands alone is shared out by rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import Exit, NotPossible
from pgtv.graph.edges import Edges, edges
from pgtv.rows import evaluate
from pgtv.rows.barrier import older_writers, outlast, wait_for_writers, writers
from pgtv.rows.follow import follow, lead, read_now
from pgtv.rows.merge import Merged, Pace, merge
from pgtv.rows.merge_sql import Key
from pgtv.rows.moving import of_tview
from pgtv.rows.noting import Notes
from pgtv.rows.recorded import drifted
from pgtv.rows.since import worth_by_key
from pgtv.rows.state import Compared, now, record_brought
from pgtv.rows.stopping import over
from pgtv.rows.subject import Subject, subjects
from pgtv.rows.throttle import Throttle
from pgtv.rows.transaction import Done
from pgtv.rows.writer import Writer
from pgtv.rows.wrong import Listed, by_ranges, look, still_wrong
from pgtv.session import Target, cancel, connect, translate

if TYPE_CHECKING:
    import psycopg


class End(StrEnum):
    """How it ended for one TVIEW."""

    EQUAL = "equal"  # nothing differed
    DIFFERS = "differs"  # looked only
    MERGED = "merged"  # equal now
    REBUILT = "rebuilt"  # equal now, by the extension's own refresh
    MAY_DIFFER = (
        "may differ"  # as its definition gives other rows each time; brought, where it is to be
    )
    UNSETTLED = "unsettled"  # still differs after every round
    UNKNOWN = "unknown"  # a prepared transaction, or something that keeps us from looking


@dataclass(frozen=True)
class Brought:
    """One TVIEW's end. differing: rows before; at_least: there were more than were counted. rebuilt: by
    the extension's own refresh, of which no number and no row is known."""

    tview: str
    end: End
    differing: int = 0
    at_least: bool = False
    merged: Merged = field(default_factory=Merged)
    seconds: float = 0.0
    grew_bytes: int = 0  # of the table's main fork: room that VACUUM makes usable again
    reason: str | None = None
    hint: str | None = None
    rebuilt: bool = False


def with_dependents(snapshot: Snapshot, tviews: Iterable[Tview]) -> list[Tview]:
    """`tviews` and all that read them, each after those that it reads."""
    graph = edges(snapshot)
    reached = {t.table_oid: t for t in graph.affected([t.table_oid for t in tviews])}
    return graph.in_order(reached.values())


def bring(
    target: Target,
    snapshot: Snapshot,
    tviews: Sequence[Tview],
    *,
    apply: bool,
    pace: Pace | None = None,
    jobs: int | None = None,
    named: Mapping[int, Sequence[Key]] | None = None,
    named_whole: Mapping[int, Compared] | None = None,
    on_batch: Callable[[str, Done], None] | None = None,
    on_end: Callable[[Brought], None] | None = None,
    final: bool = True,
    earlier: Collection[str] = (),
) -> list[Brought]:
    """Bring `tviews`, given in dependency order. Raises ConnectError, and NotPossible on a standby.

    jobs: sessions, those of the pace where it is not given.

    named: by OID of a TVIEW's table, the identities that somebody found to differ; only those rows
    are looked at then, and those that follow from them (see pgtv.rows.follow); named_whole: by OID, when
    these were all that differed. A TVIEW that cannot be brought does not keep the others from it: its
    reason is in the result, which has the order of `tviews`. Of one on record as differing it is
    recorded that its rows were brought, where every row was compared. final: a TVIEW that is equal is
    unknown all the same where a prepared transaction may still put old rows back; else that is left to
    the caller. That rows are owed is noted in the database meanwhile (see pgtv.rows.noting). earlier:
    labels of TVIEWs that are right by a run that this one goes on from.
    """
    if apply and snapshot.server.in_recovery:
        raise NotPossible("this server is a standby", "rows are brought up to date on the primary")
    pace = pace or Pace()
    jobs = max(jobs or pace.jobs, 1)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(_session(target, read_only=not apply)) for _ in range(jobs)
        ]
        # no definition runs there while rows are written, and what is looked at is rolled back
        aside = stack.enter_context(_session(target, read_only=True)) if apply else connections[0]
        known = subjects(aside, snapshot)
        owners = [s.owner for s in known.values() if s.owner]
        who = evaluate.login(aside, owners, target.role)
        run = _Run(
            target, snapshot, edges(snapshot), known, who, aside, apply, pace, named,
            named_whole or {}, on_batch, on_end, final, drifted(snapshot) if apply else frozenset(),
            Notes(target, snapshot, edges(snapshot), pace.say if pace else Pace().say),
        )  # fmt: skip
        if apply:
            tables = [t.table_oid for t in tviews]
            reached, timeout = run.graph.upstream(tables), run.pace.barrier_timeout
            run.older |= older_writers(aside, reached, timeout)
            if run.pace.between is None:
                limits, control, say = run.pace.limits, run.pace.control, run.pace.say
                throttle = Throttle(limits, tables, control, say, run.pace.stop.pause)
                run.pace = replace(run.pace, between=throttle)
        try:
            ended = _levels(run, tviews, connections)
        except KeyboardInterrupt:
            for connection in connections:
                cancel(connection)
            raise
        if apply:
            right = {b.tview for b in ended if b.end not in (End.UNKNOWN, End.UNSETTLED)}
            run.notes.settle(right.union(earlier), whole=final and named is None)
        return ended


@dataclass
class _Run:
    """What all TVIEWs of one run share."""

    target: Target
    snapshot: Snapshot
    graph: Edges
    subjects: dict[int, Subject]
    who: evaluate.Login
    aside: psycopg.Connection[Any]  # for questions about locks and catalogs, by any thread
    apply: bool
    pace: Pace
    named: Mapping[int, Sequence[Key]] | None
    named_whole: Mapping[int, Compared]
    on_batch: Callable[[str, Done], None] | None
    on_end: Callable[[Brought], None] | None
    final: bool
    drifted: frozenset[int]  # tables on record as differing
    notes: Notes
    compared: dict[int, Compared] = field(default_factory=dict)  # of those, when every row was
    keys: dict[int, frozenset[Key] | None] = field(default_factory=dict)  # by table, see _keys
    older: set[str] = field(default_factory=set)  # who wrote these tables when the run began
    written: set[int] = field(default_factory=set)
    begun: dict[int, Merged] = field(default_factory=dict)  # what is committed already, by table
    wrong: dict[int, str] = field(default_factory=dict)  # labels: rows that could not be brought
    turn: threading.Lock = field(default_factory=threading.Lock)


def _session(target: Target, *, read_only: bool) -> psycopg.Connection[Any]:
    return connect(replace(target, role=None), read_only=read_only)


def _levels(
    run: _Run, tviews: Sequence[Tview], connections: Sequence[psycopg.Connection[Any]]
) -> list[Brought]:
    """TVIEWs that read none of each other together, by as many sessions as there are."""
    ended: dict[int, Brought] = {}
    left = list(tviews)
    while left:
        waiting = {t.table_oid for t in left}
        ready = [t for t in left if not waiting & set(run.graph.upstream([t.table_oid])[1:])]
        ready = ready or left[:1]  # a circle: some order is as good as another
        left = [t for t in left if t not in ready]
        if len(ready) == 1 or len(connections) == 1:
            for tview in ready:
                ended[tview.table_oid] = _one(run, tview, connections)
            continue
        free = list(connections)

        def beside(tview: Tview, free: list[psycopg.Connection[Any]] = free) -> Brought:
            with run.turn:
                connection = free.pop()
            try:
                return _one(run, tview, [connection])
            finally:
                with run.turn:
                    free.append(connection)

        with ThreadPoolExecutor(len(connections)) as pool:
            futures = {t.table_oid: pool.submit(beside, t) for t in ready}
            try:
                ended.update((oid, future.result()) for oid, future in futures.items())
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                run.pace.stop.all(connections, partial(over, futures.values()))
                raise
    return [ended[t.table_oid] for t in tviews]


def _one(run: _Run, tview: Tview, connections: Sequence[psycopg.Connection[Any]]) -> Brought:
    """One TVIEW, whatever keeps it from being brought. Raises ConnectError.

    What was committed before something went wrong is in the result, and told before anything is raised.
    """
    import psycopg

    started = time.monotonic()
    stop: BaseException | None = None
    upstream = run.graph.upstream([tview.table_oid])
    if stuck := sorted(run.wrong[oid] for oid in upstream if oid in run.wrong):
        # what it gives now is no better than what it reads: right rows would be written over
        one = _unknown(
            run, tview, f"left as it is: it reads {', '.join(stuck)}, whose rows could not be brought",
            "run it again once they are",
        )  # fmt: skip
        with run.turn:
            if run.on_end:
                run.on_end(one)
        return one
    try:
        # who began before may have computed rows of this one from old rows of that one
        gids = (
            wait_for_writers(run.aside, upstream, run.pace.barrier_timeout, run.pace.stop.pause)
            if run.written & set(upstream)
            else ()
        )
        one = _bring(run, tview, upstream, connections)
        if gids and one.end is not End.UNKNOWN:
            one = _behind_prepared(one, gids)
    except psycopg.Error as e:
        translated = translate(e)
        stop = translated if connections[0].closed or run.aside.closed else None
        one = _unknown(run, tview, translated.message, translated.hint)
        if run.pace.stop.asked:  # which cancelled it
            stop, one = KeyboardInterrupt(), _interrupted(run, tview)
    except TimeoutError as e:
        hint = "run it again when they have ended, or raise --barrier-timeout"
        one = _unknown(run, tview, str(e), hint)
    except NotPossible as e:
        one = _unknown(run, tview, e.message, e.hint)
    except KeyboardInterrupt as e:
        stop, one = e, _interrupted(run, tview)
    one = replace(one, seconds=round(time.monotonic() - started, 3))
    if one.end in (End.EQUAL, End.MERGED):
        _record(run, tview, one)  # before it is told: a run that goes on leaves out what ended
    with run.turn:
        if one.merged.written:
            run.written.add(tview.table_oid)
        if run.on_end and (stop is None or one.merged.written):
            run.on_end(one)
    if stop:
        raise stop from None
    return one


def _record(run: _Run, tview: Tview, one: Brought) -> None:
    """Where it is on record as differing, and every row was compared, write down that it is no more."""
    at = run.compared.get(tview.table_oid)
    why = record_brought(run.target, tview, at, one.seconds) if at else None
    if why:
        run.pace.say(f"{tview.label}: that its rows were brought is not on record: {why}")


def _interrupted(run: _Run, tview: Tview) -> Brought:
    return _unknown(run, tview, "interrupted", "run it again: it goes on from there")


def _unknown(run: _Run, tview: Tview, reason: str, hint: str | None) -> Brought:
    merged = run.begun.get(tview.table_oid, Merged())
    return Brought(tview.label, End.UNKNOWN, merged=merged, reason=reason, hint=hint)


def _bring(
    run: _Run,
    tview: Tview,
    relations: Sequence[int],
    connections: Sequence[psycopg.Connection[Any]],
) -> Brought:
    subject, label = run.subjects[tview.table_oid], tview.label
    if subject.problem or subject.faults:
        why = subject.problem or "; ".join(subject.faults)
        return Brought(label, End.UNKNOWN, reason=why, hint="see: pgtv doctor --only metadata")
    if not subject.unique:
        return Brought(
            label, End.UNKNOWN,
            reason="no unique index proves that its key is one row",
            hint="create one on the key first, or use --strategy rebuild",
        )  # fmt: skip
    if not run.apply:
        keys = _keys(run, tview, connections[0])
        with evaluate.evaluation(connections[0], run.target, run.who, [subject]) as evaluation:
            listed = _listed(keys, subject, partial(evaluation.ask, subject))
        end = End.DIFFERS if listed.any else End.EQUAL
        reason = None
        if listed.any and tview.time_dependent:
            end, reason = End.MAY_DIFFER, "time-dependent: --apply brings it to now"
        return Brought(label, end, len(listed.rows), listed.more, reason=reason)
    writer = _writer(run, connections[0], subject)
    # an earlier run may have brought what it reads and died before it had waited for these, whose rows
    # differ once they are committed
    older = run.older & writers(run.aside, relations).keys() if run.older else set()
    timeout, pause = run.pace.barrier_timeout, run.pace.stop.pause
    gids = outlast(run.aside, older, timeout, pause) if older else ()
    keys = _keys(run, tview, connections[0])
    if tview.table_oid in run.drifted:
        at = now(run.aside) if keys is None else run.named_whole.get(tview.table_oid)
        if at is not None:
            run.compared[tview.table_oid] = at
    listed = _listed(keys, subject, writer.look)
    if not listed.any:
        equal = Brought(label, End.EQUAL)
        return _behind_prepared(equal, gids) if gids and run.final else equal
    sessions = [writer]
    followed = any(t.relation == tview.table_oid for t in run.snapshot.triggers)
    if listed.more and by_ranges(subject) and not followed:
        # many rows, and nobody's trigger follows them, in which two sessions could deadlock
        sessions += [_writer(run, c, subject) for c in connections[1:]]

    def batch(merged: Merged, done: Done) -> None:
        run.begun[tview.table_oid] = merged
        if run.on_batch and done.written:
            run.on_batch(label, done)

    before = _size(run.aside, tview)
    run.notes.begin(tview)
    run.wrong[tview.table_oid] = label
    merged = merge(
        sessions, subject, listed, relations, run.pace, batch,
        moves=lambda: of_tview(run.snapshot, tview),
    )  # fmt: skip
    if not merged.unknown or (not listed.more and merged.written >= len(listed.rows)):
        del run.wrong[tview.table_oid]
    grew = _size(run.aside, tview) - before
    one = Brought(label, End.MERGED, len(listed.rows), listed.more, merged, grew_bytes=grew)
    if merged.unknown:
        return _behind_prepared(replace(one, end=End.UNKNOWN), merged.unknown)
    if merged.moves:
        why = f"brought, and {len(merged.unsettled):,} rows differ again: {merged.moves}"
        return replace(one, end=End.MAY_DIFFER, reason=why)
    if merged.unsettled:
        moving = of_tview(run.snapshot, tview)
        return replace(
            one,
            end=End.UNSETTLED,
            reason=f"{len(merged.unsettled)} rows differ again after {merged.rounds} rounds"
            + (f": {moving}, but they stay missing, or there, whenever written" if moving else ""),
            hint="something keeps writing them wrong: pgtv doctor",
        )
    return one


def _listed(
    keys: Collection[Key] | None,
    subject: Subject,
    ask: Callable[[str], list[str]],
) -> Listed:
    """The rows that differ: of these, or of all."""
    if keys is None:
        return look(ask, subject)
    return Listed(tuple(still_wrong(ask, subject, sorted(keys, key=str))))


def _keys(run: _Run, tview: Tview, connection: psycopg.Connection[Any]) -> frozenset[Key] | None:
    """The rows to look at: those named, and those that follow from rows of the TVIEWs above; None for
    all. Raises psycopg.Error, and NotPossible.

    They follow from what was named whether it was still wrong or not: an earlier run may have written
    it and died.
    """
    if run.named is None:
        return None
    if tview.table_oid not in run.keys:
        run.keys[tview.table_oid] = None  # what reads itself, in a circle, is compared whole
        run.keys[tview.table_oid] = _following(run, run.named, tview, connection)
    return run.keys[tview.table_oid]


def _following(
    run: _Run,
    named: Mapping[int, Sequence[Key]],
    tview: Tview,
    connection: psycopg.Connection[Any],
) -> frozenset[Key] | None:
    subject, found = run.subjects[tview.table_oid], set[Key]()
    for above in read_now(run.graph, run.snapshot, tview):
        led = lead(run.snapshot, above, tview)
        theirs = _keys(run, above, connection) if led.any else frozenset[Key]()
        if theirs is None or (theirs and led.whole):
            return None
        if not theirs:
            continue
        most = worth_by_key(subject.estimate)
        over = run.subjects[above.table_oid]
        with evaluate.evaluation(connection, run.target, run.who, [subject]) as evaluation:
            ask = partial(evaluation.ask, subject)
            more = follow(ask, over, subject, led.columns, theirs, most)
        if more is None or len(found | more) > most:
            return None
        found |= more
    return frozenset(found.union(named.get(tview.table_oid, ())))


def _size(connection: psycopg.Connection[Any], tview: Tview) -> int:
    row = connection.execute("SELECT pg_catalog.pg_relation_size(%s::oid)", (tview.table_oid,))
    found = row.fetchone()
    return int(found[0] or 0) if found else 0


def _behind_prepared(one: Brought, gids: Sequence[str]) -> Brought:
    return replace(
        one,
        end=End.UNKNOWN,
        reason="prepared transactions write its tables and cannot be waited for: "
        + ", ".join(gids),
        hint="resolve them, then run it again: pgtv 2pc list",
    )


def _writer(run: _Run, connection: psycopg.Connection[Any], subject: Subject) -> Writer:
    """Writes as the owner, confined unless the login is the owner and has no other rights: code that
    SET ROLE to one owner runs could become another, or the login. Raises NotPossible."""
    who, asked = run.who, run.target.role
    owner = asked or subject.owner or ""
    if subject.owner_superuser and not asked:
        raise NotPossible(
            f"its owner {owner} is a superuser: its definition would run with a superuser's rights",
            "name a role that owns no more than it needs with --role, or use --strategy rebuild",
        )
    evaluate.refuse_powers(run.aside, asked)
    if not who.superuser and owner not in who.may_be:
        raise NotPossible(
            f"{who.login} may not act as {owner}, who owns it", f"log in as {owner} or a superuser"
        )
    confine = owner != who.login or not who.confined
    if confine and not who.superuser:
        _require_temp(run.aside, owner)
    return Writer(connection, run.aside, owner, confine, who.superuser)


def _require_temp(connection: psycopg.Connection[Any], role: str) -> None:
    """Raises NotPossible where this role may not make the function that confines it."""
    row = connection.execute(
        "SELECT pg_catalog.has_database_privilege(%s::pg_catalog.name, d.oid, 'TEMP'), d.datname"
        " FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()",
        (role,),
    ).fetchone()
    if row and not row[0]:
        grant = f"GRANT TEMP ON DATABASE {ident(row[1])} TO {ident(role)};"
        raise NotPossible(
            f"{role} lacks TEMP on the database, by which its definitions are confined to its rights",
            f"{grant} or log in as {role}",
        )


def exit_code(ended: Iterable[Brought]) -> Exit:
    """Unsettled is critical, unknown unknown, differing (looked only) a warning unless it may."""
    ends = {b.end for b in ended}
    for end, code in (
        (End.UNSETTLED, Exit.CRITICAL), (End.UNKNOWN, Exit.UNKNOWN), (End.DIFFERS, Exit.WARNING),
    ):  # fmt: skip
        if end in ends:
            return code
    return Exit.HEALTHY
