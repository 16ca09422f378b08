"""Options that commands share: libpq's connection options, snapshots, output."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgtv.session import LOCK_TIMEOUT, STATEMENT_TIMEOUT, Target

if TYPE_CHECKING:
    import psycopg

    from pgtv.catalog.model import Snapshot

F = TypeVar("F", bound=Callable[..., Any])


def connection_options(command: F) -> F:
    """-d -h -p -U -w -W --role and timeouts, given to the command as `target`."""

    @click.option("-d", "--dbname", metavar="DB", help="Database name, conninfo string or URI.")
    @click.option("-h", "--host", help="Server host or socket directory (PGHOST).")
    @click.option("-p", "--port", help="Server port (PGPORT).")
    @click.option("-U", "--username", "user", help="Role to log in as (PGUSER).")
    @click.option("-w", "--no-password", is_flag=True, help="Never ask for a password.")
    @click.option("-W", "--password", "ask", is_flag=True, help="Ask for a password.")
    @click.option("--role", help="SET ROLE to this after login.")
    @click.option(
        "--statement-timeout",
        default=STATEMENT_TIMEOUT,
        show_default=True,
        metavar="TIME",
        help="Bound on each statement, as PostgreSQL writes times.",
    )
    @click.option(
        "--lock-timeout",
        default=LOCK_TIMEOUT,
        show_default=True,
        metavar="TIME",
        help="Bound on each wait for a lock.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        dbname: str | None,
        host: str | None,
        port: str | None,
        user: str | None,
        no_password: bool,
        ask: bool,
        role: str | None,
        statement_timeout: str,
        lock_timeout: str,
        **kwargs: Any,
    ) -> Any:
        if no_password and ask:
            raise click.UsageError("-w and -W exclude each other")
        password = None
        if ask:
            password = click.prompt("Password", hide_input=True, err=True)
        target = Target(dbname, host, port, user, password, role, statement_timeout, lock_timeout)
        return command(*args, target=target, **kwargs)

    return wrapped  # type: ignore[return-value]


def snapshot_option(command: F) -> F:
    """--from SNAPSHOT: look at a file instead of a server."""
    return click.option(
        "--from",
        "source",
        metavar="SNAPSHOT",
        type=click.Path(exists=False, dir_okay=False, path_type=Path),
        help="Look at a saved snapshot instead of a server.",
    )(command)


@contextmanager
def connected(target: Target, *, read_only: bool = True) -> Iterator[psycopg.Connection[Any]]:
    """A session that is closed afterwards; SIGINT cancels the statement on the server."""
    from pgtv.session import connect

    connection = connect(target, read_only=read_only)
    try:
        yield connection
    except KeyboardInterrupt:
        connection.cancel_safe(timeout=3)
        raise
    finally:
        connection.close()


def look(target: Target, source: Path | None) -> Snapshot:
    """The snapshot that a command works on: from a file, or taken now."""
    if source is not None:
        from pgtv.catalog import codec

        return codec.load(source)
    from pgtv.catalog.collect import collect

    with connected(target) as connection:
        return collect(connection)


def color_wanted(stream: Any = None) -> bool:
    """On a terminal, unless NO_COLOR is set (https://no-color.org); FORCE_COLOR overrides."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    stream = stream or sys.stdout
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns to lay out for: the terminal's, within 60 and 120; 100 where there is none."""
    import shutil

    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return 100
    return max(60, min(120, shutil.get_terminal_size((100, 24)).columns))
