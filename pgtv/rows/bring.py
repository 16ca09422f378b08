"""Brings the rows of several TVIEWs up to date: compared, merged, compared again, in dependency order.

Looking first (`apply=False`) tells how many rows differ and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import Exit, NotPossible
from pgtv.graph.edges import edges
from pgtv.rows import evaluate
from pgtv.rows.barrier import wait_for_writers
from pgtv.rows.merge import Merged, Pace, Writer, confined_writer, keys_of, merge
from pgtv.rows.statements import Part
from pgtv.rows.subject import Subject, subjects
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
    """One TVIEW's end. differing: rows before. keys: those written, within the bound."""

    tview: str
    end: End
    differing: int = 0
    merged: Merged = field(default_factory=Merged)
    seconds: float = 0.0
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
    on_batch: Callable[[str, Merged], None] | None = None,
    on_end: Callable[[Brought], None] | None = None,
) -> list[Brought]:
    """Bring `tviews`, given in dependency order. Raises ConnectError, and NotPossible on a standby.

    A TVIEW that cannot be brought does not keep the others from it: its reason is in the result.
    """
    import psycopg

    if apply and snapshot.server.in_recovery:
        raise NotPossible("this server is a standby", "rows are brought up to date on the primary")
    graph = edges(snapshot)
    ended: list[Brought] = []
    written: set[int] = set()
    connection = connect(replace(target, role=None), read_only=not apply)
    try:
        known = subjects(connection, snapshot)
        who = evaluate.login(connection, [s.owner for s in known.values() if s.owner])
        for tview in tviews:
            subject = known[tview.table_oid]

            def batch(merged: Merged, label: str = tview.label) -> None:
                if on_batch:
                    on_batch(label, merged)

            started = time.monotonic()
            upstream = graph.upstream([tview.table_oid])
            try:
                # who began before may have computed rows of this one from old rows of that one
                gids = (
                    wait_for_writers(connection, upstream, (pace or Pace()).barrier_timeout)
                    if written & set(upstream)
                    else ()
                )
                one = _bring(
                    connection, target, who, upstream, subject, apply, pace or Pace(), batch
                )
                if gids and one.end is not End.UNKNOWN:
                    one = _behind_prepared(one, gids)
            except psycopg.Error as e:
                if connection.closed:
                    raise translate(e) from None
                translated = translate(e)
                one = Brought(
                    tview.label, End.UNKNOWN, reason=translated.message, hint=translated.hint
                )
            except TimeoutError as e:
                one = Brought(tview.label, End.UNKNOWN, reason=str(e), hint="see: pgtv doctor")
            except NotPossible as e:
                one = Brought(tview.label, End.UNKNOWN, reason=e.message, hint=e.hint)
            if one.merged.written:
                written.add(tview.table_oid)
            one = replace(one, seconds=round(time.monotonic() - started, 3))
            ended.append(one)
            if on_end:
                on_end(one)
    except KeyboardInterrupt:
        connection.cancel_safe(timeout=3)
        raise
    finally:
        connection.close()
    return ended


def _bring(
    connection: psycopg.Connection[Any],
    target: Target,
    who: evaluate.Login,
    relations: Sequence[int],
    subject: Subject,
    apply: bool,
    pace: Pace,
    on_batch: Callable[[Merged], None],
) -> Brought:
    label = subject.label
    if subject.problem or subject.faults:
        why = subject.problem or "; ".join(subject.faults)
        return Brought(label, End.UNKNOWN, reason=why, hint="see: pgtv doctor --only metadata")
    if not subject.unique:
        return Brought(
            label, End.UNKNOWN,
            reason="no unique index proves that its key is one row",
            hint="create one on the key first, or use --strategy rebuild",
        )  # fmt: skip
    if not apply:
        with evaluate.evaluation(connection, target, who, [subject]) as evaluation:
            looking = Writer(connection, lambda q: evaluation.ask(subject, q))
            differing = len(keys_of(looking, subject, Part()))
        return Brought(label, End.DIFFERS if differing else End.EQUAL, differing)
    writer = _writer(connection, target, who, subject)
    with connection.transaction():
        keys = [key for _, key in keys_of(writer, subject, Part())]
    if not keys:
        return Brought(label, End.EQUAL)
    merged = merge(writer, subject, keys, relations, pace, on_batch)
    if merged.unknown:
        return _behind_prepared(Brought(label, End.UNKNOWN, len(keys), merged), merged.unknown)
    if merged.unsettled:
        return Brought(
            label, End.UNSETTLED, len(keys), merged,
            reason=f"{len(merged.unsettled)} rows differ again after {merged.rounds} rounds",
            hint="something keeps writing them wrong: pgtv doctor",
        )  # fmt: skip
    return Brought(label, End.MERGED, len(keys), merged)


def _behind_prepared(one: Brought, gids: Sequence[str]) -> Brought:
    return replace(
        one,
        end=End.UNKNOWN,
        reason="prepared transactions write its tables and cannot be waited for: "
        + ", ".join(gids),
        hint="resolve them, then run it again: pgtv doctor --only twophase",
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
