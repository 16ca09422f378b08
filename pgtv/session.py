"""The only module that opens connections: read-only by default, bounded, with a pinned search_path.

libpq's ways throughout: a name, conninfo or URI, PG* variables, PGSERVICE and ~/.pgpass; never a
password on the command line.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar
from weakref import WeakKeyDictionary

from pgtv.errors import ConnectError, NotPossible, PgtvError, QueryError, UsageError

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composable, Composed

APPLICATION = "pgtv"
STATEMENT_TIMEOUT = "60s"
LOCK_TIMEOUT = "1s"
CONNECT_TIMEOUT = 10


@dataclass(frozen=True)
class Target:
    """Where to connect, as the command line said it; None leaves it to libpq."""

    dbname: str | None = None
    host: str | None = None
    port: str | None = None
    user: str | None = None
    password: str | None = None
    role: str | None = None
    statement_timeout: str = STATEMENT_TIMEOUT
    lock_timeout: str = LOCK_TIMEOUT

    def conninfo(self, **extra: Any) -> str:
        """The libpq string; `dbname` may itself be a name, a conninfo string or a URI.

        Raises UsageError when it is none of them.
        """
        import psycopg
        from psycopg.conninfo import make_conninfo

        merged = self._given()
        merged.update(
            {
                k: v
                for k, v in {
                    "host": self.host, "port": self.port, "user": self.user,
                    "password": self.password,
                }.items()
                if v is not None
            }
        )  # fmt: skip
        merged.setdefault("connect_timeout", CONNECT_TIMEOUT)
        merged["application_name"] = APPLICATION
        merged.update(extra)
        try:
            return make_conninfo("", **merged)
        except psycopg.ProgrammingError as e:
            raise UsageError(f"cannot connect: {str(e).strip()}") from None

    def in_database(self, name: str) -> Target:
        """The same server and login, another database. Raises UsageError as `conninfo` does."""
        from psycopg.conninfo import make_conninfo

        return replace(self, dbname=make_conninfo("", **(self._given() | {"dbname": name})))

    def _given(self) -> dict[str, Any]:
        """What `dbname` says, as libpq's keywords."""
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        text = self.dbname or ""
        if "=" not in text and "://" not in text:
            return {"dbname": text} if text else {}
        try:
            return dict(conninfo_to_dict(text))
        except psycopg.ProgrammingError:
            # libpq's message repeats its input, in which there may be a password
            raise UsageError(
                "-d is neither a database name nor a valid conninfo string or URI",
                "examples: -d shop, -d 'host=db1 dbname=shop', -d postgresql://db1/shop",
            ) from None


def connect(target: Target, *, read_only: bool = True) -> psycopg.Connection[Any]:
    """Open a session in autocommit, with timeouts and search_path pinned.

    search_path, timeouts and read-only are set with SET after login rather than as start-up
    options: PgBouncer refuses unknown start-up parameters. Behind a pooler nothing is set for the
    session, because the settings would stay with a server connection that others get next; there
    only `snapshot_transaction` pins, for its transaction, and nothing writes. Raises ConnectError, and
    NotPossible for a session that is to write behind a pooler.
    """
    import psycopg

    try:
        connection = psycopg.connect(
            target.conninfo(), autocommit=True, prepare_threshold=None, cursor_factory=None
        )
    except psycopg.OperationalError as e:
        raise ConnectError(_connect_message(e), _connect_hint(e)) from None
    _TARGETS[connection] = (target, read_only)
    try:
        with _bounded(connection):
            if not pooled(connection):
                prepare(connection, target, read_only=read_only)
            elif not read_only:
                raise _behind_pooler(connection)
    except NotPossible:
        connection.close()
        raise
    except psycopg.Error as e:
        connection.close()
        if e.sqlstate == "57014":  # the bound on the first statements
            raise ConnectError(
                f"the server answered the login, and nothing within {CONNECT_TIMEOUT} s since",
                "somebody may hold ACCESS EXCLUSIVE on a system catalog: see pg_locks",
            ) from None
        raise translate(e) from None
    return connection


@contextmanager
def connected(target: Target, *, read_only: bool = True) -> Iterator[psycopg.Connection[Any]]:
    """A session that is closed afterwards; SIGINT cancels the statement on the server."""
    connection = connect(target, read_only=read_only)
    try:
        yield connection
    except KeyboardInterrupt:
        cancel(connection)
        raise
    finally:
        connection.close()


def cancel(connection: psycopg.Connection[Any]) -> bool:
    """End on the server what this session waits for, for an interruption: that is what has to be told,
    so nothing is raised where the server is not to be reached any more. Gives whether it was."""
    import psycopg

    try:
        connection.cancel_safe(timeout=3)
    except psycopg.Error:
        return False
    return True


def cut(connection: psycopg.Connection[Any]) -> None:
    """Lose the session, so that another thread waits in it no longer: closing it is that one's matter."""
    import os
    import socket

    import psycopg

    with (
        contextlib.suppress(psycopg.Error, OSError),  # it is closed already
        socket.socket(fileno=os.dup(connection.pgconn.socket)) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)


@contextmanager
def _bounded(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Cancel from here what takes longer than a login may.

    The server's own timeouts come too late for the statement that sets them: a library that looks
    into a catalog table before each statement waits for whoever has locked that table.
    """
    import threading

    timer = threading.Timer(CONNECT_TIMEOUT, connection.cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# What a connection was opened with: snapshot_transaction pins it again behind a pooler.
_TARGETS: WeakKeyDictionary[psycopg.Connection[Any], tuple[Target, bool]] = WeakKeyDictionary()
_POOLED: WeakKeyDictionary[psycopg.Connection[Any], bool] = WeakKeyDictionary()


def pooled(connection: psycopg.Connection[Any]) -> bool:
    """Whether a pooler (PgBouncer or another) stands between us and the server.

    A pooler answers the login itself and makes up the process id that goes with cancel requests,
    so it differs from that of the backend that runs the statements. Raises psycopg.Error.
    """
    if connection not in _POOLED:
        # The first that a session says: bounded like all else, and for this transaction only, for
        # until the answer is here it may be a pooler's session, which others get next.
        opened = _TARGETS.get(connection)
        bounds = _bounds(connection, opened[0] if opened else Target())
        cursor = connection.execute(
            _joined(
                [
                    "BEGIN TRANSACTION READ ONLY",
                    *(_set(name, value, local=True) for name, value in bounds.items()),
                    "SELECT pg_catalog.pg_backend_pid()",
                    "COMMIT",
                ]
            )
        )
        while cursor.description is None and cursor.nextset():
            pass
        row = cursor.fetchone()
        _POOLED[connection] = row is not None and row[0] != connection.info.backend_pid
    return _POOLED[connection]


def _behind_pooler(connection: psycopg.Connection[Any]) -> NotPossible:
    """Roles, limits and locks of a session would stay with the next client, and not with this one."""
    row = connection.execute(
        "SELECT pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.current_setting('port')"
    ).fetchone()
    assert row is not None
    at = row[0] or "the pooler's own machine"  # as it reaches it by a socket
    return NotPossible(
        "a pooler stands in between: roles, limits and locks of a session do not stay with it",
        f"connect to the server itself, on {at}, with -h and -p {row[1]}",
    )


def prepare(connection: psycopg.Connection[Any], target: Target, *, read_only: bool) -> None:
    """Pin what decides how names and values are read; one round trip."""
    connection.execute(_joined(_pins(connection, target, read_only=read_only)))


def _bounds(connection: psycopg.Connection[Any], target: Target) -> dict[str, str]:
    """How long anything may take, whatever is set for the role, the database or the server."""
    bounds = {"statement_timeout": target.statement_timeout, "lock_timeout": target.lock_timeout}
    if connection.info.server_version >= 170000:
        bounds["transaction_timeout"] = "0"  # would end the session
    return bounds


def _set(name: str, value: str, *, local: bool) -> Composed:
    from psycopg import sql

    return sql.SQL("{} {} = {}").format(
        sql.SQL("SET LOCAL" if local else "SET"), sql.Identifier(name),
        # search_path is a list of names, which a string literal would turn into one name
        sql.SQL("pg_catalog, pg_temp") if name == "search_path" else sql.Literal(value),
    )  # fmt: skip


def _joined(statements: Sequence[Composable | LiteralString]) -> Composed:
    from psycopg import sql

    return sql.SQL("; ").join(sql.SQL(s) if isinstance(s, str) else s for s in statements)


def _pins(
    connection: psycopg.Connection[Any], target: Target, *, read_only: bool, local: bool = False
) -> list[Composed]:
    """The SET statements, for the session or (local) for the transaction that is open."""
    from psycopg import sql

    settings = _bounds(connection, target) | {
        "search_path": "pg_catalog, pg_temp",
        "idle_in_transaction_session_timeout": "10min",
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "postgres",
        "extra_float_digits": "1",
        "bytea_output": "hex",
        "client_encoding": "UTF8",
        "row_security": "on",
        # on, it quotes every name in what pg_get_viewdef and format_type give
        "quote_all_identifiers": "off",
        "standard_conforming_strings": "on",
    }
    if read_only and not local:
        settings["default_transaction_read_only"] = "on"
    if not local:  # one that has the turn, or is asked about locks, waits while others merge
        settings["idle_session_timeout"] = "0"
    statements = [_set(name, value, local=local) for name, value in settings.items()]
    if target.role:
        statements.append(
            sql.SQL("{} ROLE {}").format(
                sql.SQL("SET LOCAL" if local else "SET"), sql.Identifier(target.role)
            )
        )
    return statements


def anew(connection: psycopg.Connection[Any]) -> Composed:
    """What puts a session back to how `connect` left it. It finds nothing by name, so that it says the
    same whatever was set since, search_path too; not for one behind a pooler."""
    target, read_only = _TARGETS[connection]
    return _joined(["RESET ALL", *_pins(connection, target, read_only=read_only)])


@contextmanager
def snapshot_transaction(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """One read-only REPEATABLE READ transaction: everything seen in it is of one moment."""
    begin: list[Composable | LiteralString] = [
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
    ]
    opened = _TARGETS.get(connection)
    if opened and pooled(connection):
        begin += _pins(connection, opened[0], read_only=True, local=True)
    connection.execute(_joined(begin))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")


RETRIED = ("40001", "40P01", "55P03")  # serialization, deadlock, lock_timeout: nothing was done
ATTEMPTS = 6
FIRST_PAUSE = 0.1  # seconds; doubled after each attempt, with jitter

T = TypeVar("T")


def retrying(
    action: Callable[[], T],
    on_retry: Callable[[tuple[str, float]], None],
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """`action()`, again where the server says that trying again is right: 100, 200, 400 ms ….

    `action` must leave its transaction rolled back when it fails. on_retry gets (SQLSTATE, seconds
    until the next attempt). Raises psycopg.Error: any other, or the last attempt's.
    """
    import psycopg

    for attempt in range(ATTEMPTS):
        try:
            return action()
        except psycopg.Error as e:
            if e.sqlstate not in RETRIED or attempt == ATTEMPTS - 1:
                raise
            wait = FIRST_PAUSE * 2**attempt * (1 + random.random() / 2)  # noqa: S311
            on_retry((e.sqlstate, wait))
            pause(wait)
    raise AssertionError("unreachable")


def translate(error: psycopg.Error) -> PgtvError:
    """A server's or driver's error as ours, with what to do where that is known."""
    import psycopg

    message = str(error).strip().split("\n")[0]
    code = error.sqlstate
    if code is None:
        if isinstance(error, psycopg.OperationalError):
            return ConnectError(
                f"the connection was lost: {message}", "is the server still up? run it again"
            )
        return QueryError(message)
    hints = {
        "55P03": "somebody holds the lock: see `pgtv doctor --only lock-wait`, or raise --lock-timeout",
        "57014": "raise --statement-timeout, or look at what it waits for",
        "42501": "run as the role that owns it, or grant what is missing (pgtv sql roles/acting)",
        "25006": "a standby is read-only, run it on the primary; elsewhere"
        " default_transaction_read_only is on: see `pgtv doctor --only read-only-default`, or, to repair"
        " while others may not write, export PGOPTIONS='-c default_transaction_read_only=off'",
        "40P01": "run it again",
        "40001": "run it again",
        "53100": "a disk of the server is full: make room there, then run it again; what was committed"
        " before that stays",
    }
    if code == "25006":
        return NotPossible(message, hints[code])
    server_hint = error.diag.message_hint
    return QueryError(f"{message} (SQLSTATE {code})", hints.get(code) or server_hint, code)


def _connect_message(error: psycopg.OperationalError) -> str:
    return "cannot connect: " + " ".join(str(error).split())


def _connect_hint(error: psycopg.OperationalError) -> str | None:
    text = str(error)
    if "does not exist" in text and "database" in text:
        return "name the database with -d, list them with: psql -l"
    if "password" in text or "authentication" in text:
        return "use ~/.pgpass, PGPASSFILE or PGSERVICE, or -W to be asked"
    if "Connection refused" in text or "No such file" in text or "resolve" in text:
        return "is the server up, and are -h and -p (or PGHOST, PGPORT) right?"
    return None
