"""Brings the rows of several TVIEWs up to date: compared, merged, compared again, in dependency order.

Looking first (`apply=False`) tells how many rows differ and writes nothing. With several jobs, TVIEWs
that do not read each other are brought side by side, and one that stands alone is shared out by rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import Exit, NotPossible
from pgtv.graph.edges import Edges, edges
from pgtv.rows import evaluate
from pgtv.rows.barrier import wait_for_writers
from pgtv.rows.merge import Merged, Pace, merge
from pgtv.rows.merge_sql import Key
from pgtv.rows.subject import Subject, subjects
from pgtv.rows.writer import Writer, confined_writer
from pgtv.rows.wrong import Listed, look, still_wrong
from pgtv.session import Target, connect, translate

if TYPE_CHECKING:
    import psycopg


class End(StrEnum):
    """How it ended for one TVIEW."""

    EQUAL = "equal"  # nothing differed
    DIFFERS = "differs"  # looked only
    MERGED = "merged"  # equal now
    UNSETTLED = "unsettled"  # still differs after every round
    UNKNOWN = "unknown"  # a prepared transaction, or something that keeps us from looking


@dataclass(frozen=True)
class Brought:
    """One TVIEW's end. differing: rows before; at_least: there were more than were counted."""

    tview: str
    end: End
    differing: int = 0
    at_least: bool = False
    merged: Merged = field(default_factory=Merged)
    seconds: float = 0.0
    grew_bytes: int = 0  # of the table's main fork: room that VACUUM makes usable again
    reason: str | None = None
    hint: str | None = None


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
    jobs: int = 1,
    named: Mapping[int, Sequence[Key]] | None = None,
    on_batch: Callable[[str, Merged], None] | None = None,
    on_end: Callable[[Brought], None] | None = None,
) -> list[Brought]:
    """Bring `tviews`, given in dependency order. Raises ConnectError, and NotPossible on a standby.

    named: by OID of a TVIEW's table, the identities that somebody found to differ; only those rows
    are looked at then. A TVIEW that cannot be brought does not keep the others from it: its reason is
    in the result, which has the order of `tviews`.
    """
    if apply and snapshot.server.in_recovery:
        raise NotPossible("this server is a standby", "rows are brought up to date on the primary")
    with ExitStack() as stack:
        connections = [
            stack.enter_context(_session(target, read_only=not apply)) for _ in range(max(jobs, 1))
        ]
        known = subjects(connections[0], snapshot)
        who = evaluate.login(connections[0], [s.owner for s in known.values() if s.owner])
        run = _Run(
            target, snapshot, edges(snapshot), known, who, apply, pace or Pace(), named, on_batch,
            on_end,
        )  # fmt: skip
        try:
            return _levels(run, tviews, connections)
        except KeyboardInterrupt:
            for connection in connections:
                connection.cancel_safe(timeout=3)
            raise


@dataclass
class _Run:
    """What all TVIEWs of one run share."""

    target: Target
    snapshot: Snapshot
    graph: Edges
    subjects: dict[int, Subject]
    who: evaluate.Login
    apply: bool
    pace: Pace
    named: Mapping[int, Sequence[Key]] | None
    on_batch: Callable[[str, Merged], None] | None
    on_end: Callable[[Brought], None] | None
    written: set[int] = field(default_factory=set)
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
            ended.update(zip((t.table_oid for t in ready), pool.map(beside, ready), strict=True))
    return [ended[t.table_oid] for t in tviews]


def _one(run: _Run, tview: Tview, connections: Sequence[psycopg.Connection[Any]]) -> Brought:
    """One TVIEW, whatever keeps it from being brought. Raises ConnectError."""
    import psycopg

    started = time.monotonic()
    upstream = run.graph.upstream([tview.table_oid])
    try:
        # who began before may have computed rows of this one from old rows of that one
        gids = (
            wait_for_writers(connections[0], upstream, run.pace.barrier_timeout)
            if run.written & set(upstream)
            else ()
        )
        one = _bring(run, tview, upstream, connections)
        if gids and one.end is not End.UNKNOWN:
            one = _behind_prepared(one, gids)
    except psycopg.Error as e:
        if connections[0].closed:
            raise translate(e) from None
        translated = translate(e)
        one = Brought(tview.label, End.UNKNOWN, reason=translated.message, hint=translated.hint)
    except TimeoutError as e:
        one = Brought(tview.label, End.UNKNOWN, reason=str(e), hint="see: pgtv doctor")
    except NotPossible as e:
        one = Brought(tview.label, End.UNKNOWN, reason=e.message, hint=e.hint)
    one = replace(one, seconds=round(time.monotonic() - started, 3))
    with run.turn:
        if one.merged.written:
            run.written.add(tview.table_oid)
        if run.on_end:
            run.on_end(one)
    return one


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
        with evaluate.evaluation(connections[0], run.target, run.who, [subject]) as evaluation:
            listed = _listed(run, subject, connections[0], lambda q: evaluation.ask(subject, q))
        end = End.DIFFERS if listed.any else End.EQUAL
        return Brought(label, end, len(listed.rows), bool(listed.bounds))
    writer = _writer(connections[0], run.target, run.who, subject)
    listed = _listed(run, subject, connections[0], writer.run)
    if not listed.any:
        return Brought(label, End.EQUAL)
    writers = [writer]
    if listed.bounds and not any(t.relation == tview.table_oid for t in run.snapshot.triggers):
        # many rows, and nobody's trigger follows them, in which two sessions could deadlock
        writers += [_writer(c, run.target, run.who, subject) for c in connections[1:]]

    def batch(merged: Merged) -> None:
        if run.on_batch:
            run.on_batch(label, merged)

    before = _size(connections[0], tview)
    merged = merge(writers, subject, listed, relations, run.pace, batch)
    grew = _size(connections[0], tview) - before
    one = Brought(label, End.MERGED, len(listed.rows), bool(listed.bounds), merged, grew_bytes=grew)
    if merged.unknown:
        return _behind_prepared(replace(one, end=End.UNKNOWN), merged.unknown)
    if merged.unsettled:
        return replace(
            one,
            end=End.UNSETTLED,
            reason=f"{len(merged.unsettled)} rows differ again after {merged.rounds} rounds",
            hint="something keeps writing them wrong: pgtv doctor",
        )
    return one


def _listed(
    run: _Run,
    subject: Subject,
    connection: psycopg.Connection[Any],
    ask: Callable[[str], list[str]],
) -> Listed:
    """The rows that differ: of those that were named, where some were, else of all."""
    if run.named is None:
        return look(connection, ask, subject)
    keys = run.named.get(subject.tview.table_oid, ())
    return Listed(tuple(still_wrong(connection, ask, subject, keys))) if keys else Listed()


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


def _writer(
    connection: psycopg.Connection[Any], target: Target, who: evaluate.Login, subject: Subject
) -> Writer:
    """Writes as the owner; a superuser's login is confined. Raises NotPossible."""
    owner = target.role or subject.owner or ""
    if subject.owner_superuser and not target.role:
        raise NotPossible(
            f"its owner {owner} is a superuser: its definition would run with a superuser's rights",
            "name a role that owns no more than it needs with --role, or use --strategy rebuild",
        )
    if who.superuser or who.powers:
        return confined_writer(connection, owner, superuser_login=True)
    if owner not in who.may_be and owner != who.login:
        raise NotPossible(
            f"{who.login} may not act as {owner}, who owns it", f"log in as {owner} or a superuser"
        )
    connection.execute("RESET ROLE")
    if owner != who.login:
        connection.execute(f"SET ROLE {ident(owner)}".encode())
    return confined_writer(connection, owner, superuser_login=False)


def exit_code(ended: Iterable[Brought]) -> Exit:
    """Unsettled is critical, unknown unknown, differing (looked only) a warning."""
    ends = {b.end for b in ended}
    for end, code in (
        (End.UNSETTLED, Exit.CRITICAL), (End.UNKNOWN, Exit.UNKNOWN), (End.DIFFERS, Exit.WARNING),
    ):  # fmt: skip
        if end in ends:
            return code
    return Exit.HEALTHY
