"""Processes that tests start, and those that are found by what they work on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def running(command: Sequence[str], **kw: Any) -> Iterator[subprocess.Popen[str]]:
    """One beside the test, with pipes of text; what still runs on leaving, a failed test's, is killed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=_interruptible, **(pipes | kw)) as process:  # noqa: PLW1509
        try:
            yield process
        finally:
            process.kill()


def _interruptible() -> None:
    """A shell without job control starts what runs in its background, tests too, deaf to Ctrl-C; nohup
    makes it deaf to the end of a login."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def naming(folder: Path | str) -> list[list[str]]:
    """Command lines, in words, that name `folder`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue  # it ended meanwhile
        if any(str(folder) in word for word in words):
            found.append(words)
    return found
