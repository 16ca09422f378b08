"""Standard streams whose reader may leave before the end: head, grep -q, a pager that was quit."""

from __future__ import annotations

import io
import os
import stat
from typing import Any


class _Patient(io.FileIO):
    """A pipe that becomes /dev/null when nobody reads it any more."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes


def patient(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """`stream`, or when it is a pipe or socket one that outlives its reader.

    The command then goes on to its end: the exit code is its verdict, not that somebody read only
    the first line, and what it was applying is not left half done.
    """
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return stream  # no file: a test's buffer
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Patient(descriptor, "w", closefd=False)),
        encoding=stream.encoding, errors=stream.errors, line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )  # fmt: skip
