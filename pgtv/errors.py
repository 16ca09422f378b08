"""One family of errors; each carries its exit code and a hint what to do.

The exit codes are those of monitoring plugins, so that every command can be a probe:
0 healthy, 1 warning, 2 critical, 3 unknown or could not run (usage errors too).
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command; `docs/operations/EXIT_CODES.md` is the table for people."""

    HEALTHY = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3
    INTERRUPTED = 130


class PgtvError(Exception):
    """An error shown to the user as one message and one hint, never as a traceback."""

    exit_code: Exit = Exit.UNKNOWN

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PgtvError):
    """The command line asked for something that does not exist or makes no sense."""


class ConnectError(PgtvError):
    """The server could not be reached, or refused the login."""


class QueryError(PgtvError):
    """The server refused a statement; `sqlstate` tells which way."""

    def __init__(self, message: str, hint: str | None = None, sqlstate: str | None = None) -> None:
        super().__init__(message, hint)
        self.sqlstate = sqlstate


class SnapshotError(PgtvError):
    """A snapshot file that cannot be read, or that is not one."""


class DefinitionError(PgtvError):
    """A definition that is not one readable SELECT; `position` is a 0-based character offset."""

    def __init__(self, message: str, hint: str | None = None, position: int | None = None) -> None:
        super().__init__(message, hint)
        self.position = position


class CycleError(PgtvError):
    """TVIEWs that read each other."""

    exit_code = Exit.CRITICAL


class NotPossible(PgtvError):
    """Refused for safety, or not possible on this server (standby, missing privilege…)."""


class ClusterError(PgtvError):
    """A throwaway server that did not start, stop or answer."""
