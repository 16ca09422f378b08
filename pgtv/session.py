"""The only module that opens connections: read-only by default, bounded, with a pinned search_path.

libpq's ways throughout: a name, conninfo or URI, PG* variables, PGSERVICE and ~/.pgpass; never a
password on the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.errors import ConnectError, NotPossible, PgtvError, QueryError, UsageError

if TYPE_CHECKING:
    import psycopg

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
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        text = self.dbname or ""
        try:
            given = (
                conninfo_to_dict(text)
                if "=" in text or "://" in text
                else ({"dbname": text} if text else {})
            )
        except psycopg.ProgrammingError:
            # libpq's message repeats its input, in which there may be a password
            raise UsageError(
                "-d is neither a database name nor a valid conninfo string or URI",
                "examples: -d shop, -d 'host=db1 dbname=shop', -d postgresql://db1/shop",
            ) from None
        merged: dict[str, Any] = dict(given)
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


def connect(target: Target, *, read_only: bool = True) -> psycopg.Connection[Any]:
    """Open a session in autocommit, with timeouts and search_path pinned.

    search_path, timeouts and read-only are set with SET after login rather than as start-up
    options: PgBouncer refuses unknown start-up parameters. Raises ConnectError.
    """
    import psycopg

    try:
        connection = psycopg.connect(
            target.conninfo(), autocommit=True, prepare_threshold=None, cursor_factory=None
        )
    except psycopg.OperationalError as e:
        raise ConnectError(_connect_message(e), _connect_hint(e)) from None
    try:
        prepare(connection, target, read_only=read_only)
    except psycopg.Error as e:
        connection.close()
        raise translate(e) from None
    return connection


def prepare(connection: psycopg.Connection[Any], target: Target, *, read_only: bool) -> None:
    """Pin what decides how names and values are read; one round trip."""
    from psycopg import sql

    statements = [
        sql.SQL("SET search_path = pg_catalog, pg_temp"),
        sql.SQL("SET statement_timeout = {}").format(sql.Literal(target.statement_timeout)),
        sql.SQL("SET lock_timeout = {}").format(sql.Literal(target.lock_timeout)),
        sql.SQL("SET idle_in_transaction_session_timeout = '10min'"),
        sql.SQL("SET TimeZone = 'UTC'"),
        sql.SQL("SET DateStyle = 'ISO, YMD'"),
        sql.SQL("SET IntervalStyle = 'postgres'"),
        sql.SQL("SET extra_float_digits = 1"),
        sql.SQL("SET bytea_output = 'hex'"),
        sql.SQL("SET client_encoding = 'UTF8'"),
        sql.SQL("SET row_security = on"),
    ]
    if read_only:
        statements.append(sql.SQL("SET default_transaction_read_only = on"))
    if target.role:
        statements.append(sql.SQL("SET ROLE {}").format(sql.Identifier(target.role)))
    connection.execute(sql.SQL("; ").join(statements))


@contextmanager
def snapshot_transaction(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """One read-only REPEATABLE READ transaction: everything seen in it is of one moment."""
    connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")


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
        "55P03": "somebody holds the lock: see `pgtv doctor --only waits`, or raise --lock-timeout",
        "57014": "raise --statement-timeout, or look at what it waits for",
        "42501": "run as the role that owns it, or grant what is missing (sql/roles)",
        "25006": "this server is read-only (a standby?): run it on the primary",
        "40P01": "run it again",
        "40001": "run it again",
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
