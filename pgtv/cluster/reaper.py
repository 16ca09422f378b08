"""Removes what a throwaway server leaves behind when its maker dies without a word.

A process of its own waits at the end of a pipe that only the maker holds open. When the pipe closes
without the word `done` (SIGKILL, a crash, a lost terminal), it cleans up; in every other case the
maker has done so itself.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SERVER = r"""
read -r word || word=dead
[ "$word" = dead ] || exit 0
pid=$(head -n 1 "$2/postmaster.pid" 2>/dev/null) && {
    kill -QUIT "$pid"
    waited=0
    while kill -0 "$pid" && [ $waited -lt 100 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    kill -KILL "$pid"
}
umount -l "$1/room"
# a process that is just ending may still write into it
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1" && break
    sleep 0.3
done
"""

_CONTAINER = """
import sys
if not sys.stdin.readline():
    import docker
    docker.from_env().containers.get(sys.argv[1]).remove(force=True, v=True)
"""


class Reaper:
    """The waiting process. `dismiss` sends it home once there is nothing left to do."""

    def __init__(self, command: Sequence[str]) -> None:
        # a session of its own: Ctrl-C at the terminal is for the maker
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/",
        )  # fmt: skip

    def dismiss(self) -> None:
        """Everything is cleaned up, or is to be kept."""
        if self.process.stdin and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(b"done\n")
                self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)


def of_server(root: Path, data: Path) -> Reaper:
    """Ends the postmaster of `data`, then removes `root`."""
    return Reaper(["/bin/sh", "-c", _SERVER, "reaper", str(root), str(data)])


def of_container(identifier: str) -> Reaper:
    """Removes a container and its volumes."""
    return Reaper([sys.executable, "-c", _CONTAINER, identifier])
