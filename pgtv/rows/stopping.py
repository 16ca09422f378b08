"""Ends what several sessions do together, wherever each of them is: at work, asleep or between the two.

A session at work is cancelled on the server; one that waits in this process has nothing to cancel, and
is told by the same event that its wait ends early by.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

AGAIN = 0.2  # seconds until sessions that have not ended are cancelled once more


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
        self, connections: Sequence[psycopg.Connection[Any]], ended: Callable[[float], bool]
    ) -> None:
        """Stop them, and return when they have: ended waits for that so many seconds at most.

        Cancelled again and again: one may have been between two statements, with nothing to cancel.
        """
        import psycopg

        self._asked.set()
        while True:
            for connection in connections:
                with contextlib.suppress(psycopg.Error):  # lost, which ends it as well
                    connection.cancel_safe(timeout=3)
            if ended(AGAIN):
                return
