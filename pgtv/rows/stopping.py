"""Ends what several sessions do together, wherever each of them is: at work, asleep or between the two.

A session at work is cancelled on the server; one that waits in this process has nothing to cancel, and
is told by the same event that its wait ends early by.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from pgtv.session import cancel, cut

if TYPE_CHECKING:
    import psycopg

AGAIN = 0.2  # seconds until sessions that have not ended are cancelled once more
PATIENCE = 5.0  # seconds in which a server that cannot be reached may come back


class Stop:
    """One for all sessions of a run; asked for once, by the thread that was interrupted."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def check(self) -> None:
        """To be called before anything is begun. Raises KeyboardInterrupt once it was asked for."""
        self.pause(0)

    def pause(self, seconds: float) -> None:
        """Sleep; raises KeyboardInterrupt as soon as it was asked for."""
        if self._asked.wait(seconds):
            raise KeyboardInterrupt

    def all(
        self, connections: Collection[psycopg.Connection[Any]], ended: Callable[[float], bool]
    ) -> None:
        """Stop them, and return when they have: ended waits for that so many seconds at most.

        connections: looked at anew each time; one that is added later has to `check`. Cancelled again
        and again: one may have been between two statements, with nothing to cancel. Where the server
        does not hear of it any more, the session is cut off.
        """
        self._asked.set()
        patient = time.monotonic() + PATIENCE
        while True:
            for connection in list(connections):
                if not cancel(connection) and time.monotonic() > patient:
                    cut(connection)
            if ended(AGAIN):
                return


def over(futures: Collection[Future[Any]], seconds: float) -> bool:
    """Whether all have ended, or will not begin, after so many seconds at most."""
    wait([f for f in futures if not f.cancelled()], seconds)
    return all(f.done() for f in futures)
