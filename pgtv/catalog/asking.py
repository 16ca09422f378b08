"""How the collector asks: many queries a round trip, and one that fails hides no other.

Queries are queued and sent together as one simple-protocol message, so the number of round trips
depends on what has to be known before what, and not on the number of queries. Only when one of them
fails is the batch asked again query by query, to learn which. Before each stands ROLLBACK TO
SAVEPOINT, which works in a healthy and in a failed transaction alike and gives back every lock that
the query before it took.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pgtv.catalog.model import Gap

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
Row = dict[str, Any]

LOCK_TIMEOUT = "100ms"  # for the race that looking at pg_locks beforehand leaves
_BACK = "ROLLBACK TO SAVEPOINT section"
_SEPARATOR = "\n;\n"


@dataclass
class Answer:
    """One query's rows once it was sent; asking for them sends what is queued."""

    asking: Asking
    section: str
    query: str
    params: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    found: list[Row] | None = None
    error: str | None = None
    sqlstate: str | None = None
    sent: bool = False

    def rows(self) -> list[Row] | None:
        """The rows, or None where the query failed (and then there is a Gap)."""
        if not self.sent:
            self.asking.send()
        return self.found

    def row(self) -> Row:
        """The first row; empty where there is none."""
        return (self.rows() or [{}])[0]

    def scalar(self) -> Any:
        """The first column of the first row, or None."""
        return next(iter(self.row().values()), None)


@dataclass
class Rows(Generic[T]):
    """An answer as objects of the model."""

    answer: Answer
    kind: Callable[..., T]

    def all(self) -> tuple[T, ...]:
        return tuple(self.kind(**row) for row in self.answer.rows() or ())

    def one(self) -> T | None:
        return next(iter(self.all()), None)


def _dicts(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Row]:
    """Rows as dictionaries, arrays in them as tuples: the model is immutable and hashable.

    Which columns are arrays is looked up once an answer; looking at every value costs more than
    the rest of reading it.
    """
    described = cursor.description or ()
    names = [column.name for column in described]
    known = cursor.adapters.types
    arrays = [
        column.name
        for column in described
        if (info := known.get(column.type_code)) and info.array_oid == column.type_code
    ]

    def row(values: Sequence[Any]) -> Row:
        found = dict(zip(names, values, strict=True))
        for name in arrays:
            if found[name] is not None:
                found[name] = tuple(found[name])
        return found

    return row


def array(oids: Any) -> str:
    """OIDs as the text of an array: adapting thousands of numbers one by one costs more."""
    return "{" + ",".join(str(o) for o in oids) + "}"


@dataclass
class Asking:
    """One run: the connection, what is still to be sent, and what could not be collected so far."""

    connection: psycopg.Connection[Any]
    gaps: list[Gap] = field(default_factory=list)
    queue: list[Answer] = field(default_factory=list)
    _cursor: psycopg.ClientCursor[Row] = field(init=False)
    _open: bool = False

    def __post_init__(self) -> None:
        import psycopg

        self._cursor = psycopg.ClientCursor(self.connection, row_factory=_dicts)

    def ask(
        self,
        section: str,
        query: str | None,
        params: Mapping[str, Any] | None = None,
        needs: tuple[str, ...] = (),
    ) -> Answer:
        """Queue a query; None stands for what this generation does not have."""
        answer = Answer(self, section, query or "", params or {}, needs, sent=query is None)
        if query is not None:
            self.queue.append(answer)
        return answer

    def skip(self, section: str, reason: str) -> Answer:
        """What is not asked, because it would wait or could not be answered: a Gap."""
        self.gap(section, reason)
        return Answer(self, section, "", {}, error=reason, sent=True)

    def copy(
        self,
        section: str,
        schema: str,
        table: str,
        columns: Mapping[str, str],
        needs: tuple[str, ...] = (),
    ) -> Answer:
        """Read a table that anybody may have made, at once: see pgtv.kept.read."""
        import psycopg

        from pgtv import kept

        answer = Answer(self, section, "", {}, needs, sent=True)
        self._begin()
        self._cursor.execute(_BACK)
        try:
            answer.found = list(kept.read(self.connection, schema, table, columns))
        except (psycopg.Error, ValueError) as e:
            self._reraise_lost(e)
            self._failed(answer, e)
        self._cursor.execute(_BACK)
        return answer

    def all(
        self,
        section: str,
        kind: Callable[..., T],
        query: str | None,
        params: Mapping[str, Any] | None = None,
        needs: tuple[str, ...] = (),
    ) -> Rows[T]:
        """Queue a query whose columns are the fields of `kind`."""
        return Rows(self.ask(section, query, params, needs), kind)

    def gap(
        self, section: str, reason: str, needs: tuple[str, ...] = (), object: str | None = None
    ) -> None:
        self.gaps.append(Gap(section, reason, needs, object))

    def send(self) -> None:
        """Send what is queued: together, and one by one when that fails.

        Raises psycopg.Error only when the connection itself fails.
        """
        import psycopg

        self._begin()
        pending, self.queue = self.queue, []
        if len(pending) > 1:
            try:
                self._run(pending)
                return
            except (psycopg.Error, ValueError, RecursionError) as e:
                self._reraise_lost(e)
        for answer in pending:
            try:
                self._run([answer])
            except (psycopg.Error, ValueError, RecursionError) as e:
                self._reraise_lost(e)
                answer.sent = True
                self._failed(answer, e)

    def _begin(self) -> None:
        if not self._open:
            # compiling what runs once takes longer than running it, and the planner's guesses at what
            # a recursive query finds call for it at any size
            self._cursor.execute(
                f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL jit = off; SAVEPOINT section"
            )
            self._open = True

    def _run(self, answers: list[Answer]) -> None:
        texts = [_BACK]
        for answer in answers:
            text = self._cursor.mogrify(answer.query.encode(), answer.params)
            texts += [text, _BACK]
        self._cursor.execute(_SEPARATOR.join(texts).encode())
        found: list[list[Row]] = []
        while self._cursor.nextset():
            if self._cursor.description is not None:
                found.append(self._cursor.fetchall())
        for answer, rows in zip(answers, found, strict=True):
            answer.found, answer.sent = rows, True

    def _reraise_lost(self, error: Exception) -> None:
        """A lost connection ends the run; everything else is one section's Gap."""
        if self.connection.closed or self.connection.broken:
            raise error

    def _failed(self, answer: Answer, error: Exception) -> None:
        import psycopg

        if isinstance(error, psycopg.Error) and error.sqlstate:
            answer.sqlstate = error.sqlstate
            answer.error = f"{error.diag.message_primary} (SQLSTATE {error.sqlstate})"
        else:
            answer.error = f"the answer cannot be read: {type(error).__name__}: {error}"
        denied = answer.sqlstate in ("42501", "55P03")
        self.gap(answer.section, answer.error, answer.needs if denied else ())
