"""Options that commands share: libpq's connection options, snapshots, output."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgtv.cli.paths import FILE
from pgtv.errors import PgtvError, UsageError
from pgtv.session import LOCK_TIMEOUT, STATEMENT_TIMEOUT, Target, connected

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot

F = TypeVar("F", bound=Callable[..., Any])


COMPARING = "4h"  # statement_timeout of a command that compares rows, unless one was given


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
            if not _has_terminal():
                raise UsageError(
                    "-W asks for a password, and there is no terminal to ask at",
                    "use ~/.pgpass, PGPASSFILE or PGSERVICE",
                )
            password = click.prompt("Password", hide_input=True, err=True)
        target = Target(dbname, host, port, user, password, role, statement_timeout, lock_timeout)
        return command(*args, target=target, **kwargs)

    return wrapped  # type: ignore[return-value]


def _has_terminal() -> bool:
    """Whether a password can be asked for without being shown, as getpass does it."""
    try:
        with Path("/dev/tty").open():
            return True
    except OSError:
        return sys.stdin is not None and sys.stdin.isatty()


def lock_limit() -> str:
    """The --lock-timeout of the command line as an SQL literal, for statements that are printed: whoever
    pastes them tries nothing again, so that it is 2 s where none was given."""
    from pgtv.catalog.dialects.base import literal
    from pgtv.pasted import pasteable

    context = click.get_current_context()
    source = context.get_parameter_source("lock_timeout")
    asked = source is not click.core.ParameterSource.DEFAULT
    return pasteable(literal(context.params["lock_timeout"] if asked else "2s").strip())


def snapshot_option(command: F) -> F:
    """--from SNAPSHOT: look at a file instead of a server."""
    return click.option(
        "--from",
        "source",
        metavar="SNAPSHOT",
        type=FILE,
        help="Look at a saved snapshot instead of a server.",
    )(command)


def receipt_option(command: F) -> F:
    """--receipt FILE: where the receipt of what was applied goes, given as `receipt_path`."""
    return click.option(
        "--receipt",
        "receipt_path",
        metavar="FILE",
        type=FILE,
        help="Where to write the receipt; by default a new file in the current directory.",
    )(command)


def apply_option(command: F, *, otherwise: str = "nothing is written") -> F:
    """--apply, given as `apply_`; without it a command that acts shows what it would do."""
    return click.option(
        "--apply", "apply_", is_flag=True, help=f"Do it; without this {otherwise}."
    )(command)


def output_option(command: F) -> F:
    """-o FILE: write there instead of to stdout."""
    return click.option(
        "-o",
        "--output",
        metavar="FILE",
        type=FILE,
        help="Write to FILE, at once and whole, instead of to stdout.",
    )(command)


def verbosity_options(command: F) -> F:
    """-q and -v, given to the command as `verbosity`: -1, 0 or 1."""

    @click.option("-q", "--quiet", is_flag=True, help="Say the least: one line a finding.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more.")
    @functools.wraps(command)
    def wrapped(*args: Any, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        if quiet and verbose:
            raise click.UsageError("-q and -v exclude each other")
        return command(*args, verbosity=1 if verbose else -1 if quiet else 0, **kwargs)

    return wrapped  # type: ignore[return-value]


def write_output(text: str, file: Path | None) -> None:
    """To stdout, or to `file` by rename: whoever reads it sees the old one or the new one."""
    if file is None:
        click.echo(text, nl=False)
        return
    import tempfile

    try:
        if file.exists() and not file.is_file():  # /dev/stdout, a pipe
            file.write_text(text, encoding="utf-8")
            return
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=file.parent, prefix=f".{file.name}.", delete=False
        ) as temporary:
            temporary.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary.name).chmod(0o666 & ~mask)  # mkstemp's 0600 would hide it from collectors
        Path(temporary.name).replace(file)
    except OSError as e:
        raise PgtvError(f"cannot write {file}: {e.strerror or e}") from None


def connection_text(target: Target) -> str:
    """The options that reach the same database again, for commands that are printed; no password."""
    import shlex

    words: list[str] = []
    if target.dbname:
        text = target.dbname
        if "=" in text or "://" in text:
            from psycopg.conninfo import conninfo_to_dict, make_conninfo

            known = {k: v for k, v in conninfo_to_dict(text).items() if "pass" not in k}
            text = make_conninfo("", **known)
        words += ["-d", text]
    for flag, value in (("-h", target.host), ("-p", target.port), ("-U", target.user)):
        words += [flag, value] if value else []
    words += ["--role", target.role] if target.role else []
    return shlex.join(words)


def threshold_settings(texts: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """`check.name=value` texts as settings by check. Raises UsageError that says what exists."""
    from pgtv.checks.registry import all_checks, select

    settings: dict[str, dict[str, float]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        check_id, dot, threshold = name.partition(".")
        if not equals or not dot:
            raise UsageError(
                f"--threshold {text!r} does not read CHECK.NAME=VALUE",
                "names and defaults: pgtv doctor --list -v",
            )
        if check_id not in all_checks():
            select((check_id,))  # raises, with the nearest name
            raise UsageError(f"{check_id} is a group of checks", "name one check")
        known = all_checks()[check_id].thresholds
        if threshold not in known:
            raise UsageError(
                f"check {check_id} has no threshold {threshold!r}",
                f"it has: {', '.join(known)}" if known else "it has none",
            )
        try:
            settings.setdefault(check_id, {})[threshold] = float(value)
        except ValueError:
            raise UsageError(
                f"{value!r} is no number", f"{name} is in {known[threshold].unit}"
            ) from None
    return settings


def comparing(target: Target) -> Target:
    """With the time that comparing all rows of a TVIEW may take, unless --statement-timeout was given."""
    from dataclasses import replace

    source = click.get_current_context().get_parameter_source("statement_timeout")
    if source is not click.core.ParameterSource.DEFAULT:
        return target
    return replace(target, statement_timeout=COMPARING)


def look(
    target: Target, source: Path | None, meanwhile: Callable[[], object] | None = None
) -> Snapshot:
    """The snapshot that a command works on: from a file, or taken now.

    meanwhile: what can be got ready while the server answers, as importing the checks; called in a
    thread, and by the caller again for its result (or for what it raises).
    """
    if source is not None:
        from pgtv.catalog import codec

        return codec.load(source)
    from pgtv.catalog.collect import collect

    with connected(target) as connection, _beside(meanwhile):
        return collect(connection)


@contextmanager
def _beside(work: Callable[[], object] | None) -> Iterator[None]:
    if work is None:
        yield
        return
    import threading

    def quietly() -> None:
        with suppress(Exception):
            work()

    thread = threading.Thread(target=quietly, daemon=True)  # nobody who interrupts waits for it
    thread.start()
    yield
    thread.join()


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
