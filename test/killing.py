"""Kills a command at one of its statements: the process, its backend, or the whole server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from servers import Database

from pgtv.cli import main as command_line

Kill = Callable[[psycopg.Connection[Any], Database], None]


def pgtv_dies(_: psycopg.Connection[Any], __: Database) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def backend_dies(connection: psycopg.Connection[Any], database: Database) -> None:
    with database.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))


def server_dies(_: psycopg.Connection[Any], database: Database) -> None:
    process = database.server.process
    assert process
    os.killpg(process.pid, signal.SIGKILL)


def killed_at(database: Database, at: int | str, kill: Kill, folder: Path, *command: str) -> bool:
    """Whether `pgtv COMMAND --apply` got as far as this statement of a session that may write.

    at: the number of the statement that it dies before; or it dies before the first one after that which
    begins with these words.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            signal.alarm(120)
            code = _run(database, at, kill, folder, command)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 77, -signal.SIGKILL), f"killed at {at}: the run ended with {code}"
    return code != 0


def _run(
    database: Database, at: int | str, kill: Kill, folder: Path, command: Sequence[str]
) -> int:
    """In a process of its own."""
    plain = psycopg.Connection.execute
    seen, after, reached = 0, False, False

    def counted(self: psycopg.Connection[Any], query: Any, *args: Any, **kw: Any) -> Any:
        nonlocal seen, after, reached
        if self.info.dbname == database.name and _writes(self):
            seen += 1
            if not reached and (seen == at or after):
                reached = True
                kill(self, database)
            text = query.decode() if isinstance(query, bytes) else query
            after = after or (isinstance(at, str) and str(text).startswith(at))
        return plain(self, query, *args, **kw)

    psycopg.Connection.execute = counted  # type: ignore[method-assign]
    os.chdir(folder)
    with (folder / "said").open("w", buffering=1) as said:
        sys.stdout = sys.stderr = said
        command_line.run([*command, "--apply", "-d", database.conninfo])
    return 77 if reached else 0


def _writes(connection: psycopg.Connection[Any]) -> bool:
    from pgtv import session

    opened = session._TARGETS.get(connection)
    return opened is not None and not opened[1]
