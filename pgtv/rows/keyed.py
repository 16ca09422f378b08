"""One row of a TVIEW: whether it is right, and what it comes from."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import Exit, UsageError
from pgtv.rows import evaluate, statements
from pgtv.rows.result import State
from pgtv.rows.run import upstream_of
from pgtv.rows.statements import Part
from pgtv.rows.subject import Subject, subjects
from pgtv.rows.upstream import Node, Walk
from pgtv.session import Target, translate


@dataclass(frozen=True)
class Keyed:
    """The rows that a key names (mostly one), each with its upstream rows."""

    tview: str
    asked: str
    keys: tuple[str, ...]
    nodes: tuple[Node, ...]
    lsn: str
    at: str
    evaluated_as: str
    apart: str | None
    seconds: float

    @property
    def state(self) -> State:
        """The verdict, what is upstream included."""
        if any(n.difference is not None or n.wrong_below for n in self.nodes):
            return State.MAY_DIFFER if self.apart else State.DIFFERS
        if any(n.problem or not n.known_below for n in self.nodes) or not self.nodes:
            return State.UNKNOWN
        return State.EQUAL

    @property
    def exit(self) -> Exit:
        return {
            State.DIFFERS: Exit.CRITICAL,
            State.UNKNOWN: Exit.UNKNOWN,
        }.get(self.state, Exit.HEALTHY)


def look_up(
    target: Target, snapshot: Snapshot, tview: Tview, text: str, *, base_rows: bool = False
) -> Keyed:
    """Compare the row that `text` names with its definition, and walk upstream.

    text: the key's value, a JSON array for a key of several columns, or COLUMN=VALUE.
    Raises UsageError for a key that no row can have, NotPossible, QueryError and ConnectError.
    """
    import psycopg

    try:
        with evaluate.session(target) as connection:
            known = subjects(connection, snapshot)
            owners = [s.owner for s in known.values() if s.owner]
            who = evaluate.login(connection, owners, target.role)
            subject = known[tview.table_oid]
            part = _part(subject, text)
            above = upstream_of(snapshot, known, subject)
            started = time.monotonic()
            with evaluate.evaluation(connection, target, who, above) as evaluation:
                walk = Walk(evaluation, snapshot, known, base_rows)
                _check_key(evaluation, subject, part, text)
                nodes = walk.begin(subject, part)
                return Keyed(
                    subject.label, text, tview.identity, tuple(nodes), evaluation.lsn,
                    evaluation.at, evaluation.evaluated_as(subject), subject.apart,
                    round(time.monotonic() - started, 4),
                )  # fmt: skip
    except psycopg.Error as e:
        raise translate(e) from None


def _check_key(evaluation: evaluate.Evaluation, subject: Subject, part: Part, text: str) -> None:
    """Raise UsageError where no row can have this key: the type's own words say why."""
    import psycopg

    try:
        with evaluation.savepoint():
            evaluation.ask(subject, statements.possible(subject, part))
    except psycopg.Error as e:
        if e.sqlstate and e.sqlstate.startswith("22"):
            raise UsageError(
                f"{text!r} is no key of {subject.label}: {e.diag.message_primary}",
                f"its key is {', '.join(f'{k.name} ({k.type})' for k in subject.keys)}",
            ) from None
        raise


def _part(subject: Subject, text: str) -> Part:
    if subject.problem:
        raise UsageError(
            f"{subject.label} cannot be looked at: {subject.problem}", "see: pgtv doctor"
        )
    name, equals, value = text.partition("=")
    column = next((c for c in subject.columns if c.name == name.strip()), None)
    if equals and column:
        return statements.column_is(column, value.strip())
    return statements.keys_in(subject, [_key(subject, text)])


def _key(subject: Subject, text: str) -> Sequence[str | None]:
    if len(subject.keys) == 1:
        return [text]
    names = ", ".join(k.name for k in subject.keys)
    hint = f"give all of ({names}) as a JSON array, as in '[\"a\", 1]'"
    try:
        values = json.loads(text, parse_int=str, parse_float=str)
    except ValueError:
        values = text.split(",")
    if not isinstance(values, list) or len(values) != len(subject.keys):
        raise UsageError(f"the key of {subject.label} has {len(subject.keys)} columns", hint)
    return [None if v is None else str(v) for v in values]
