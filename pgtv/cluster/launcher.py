"""A shutdown that the extension's start-up workers would hold up.

At each start that ends recovery the extension's launcher starts one worker a database, one after the
other, and waits for its end; then it idles. Told to end while it waits for the last one, it notes that
and idles for an hour all the same. A worker that waits for a lock does not heed being told at all. So a
smart or fast shutdown hangs; cancelling what they do lets both end.
"""

from __future__ import annotations

from collections.abc import Callable

from pgtv.catalog.dialects.base import EXTENSION

NAMES = f"{EXTENSION} rebuild"  # part of the titles of the launcher and of its workers
_EACH = 1.0  # seconds


def ends(ended: Callable[[float], bool], cancel: Callable[[], None], timeout: float) -> bool:
    """Whether a server that was told to stop ends within `timeout` seconds.

    ended: waits so many seconds, and says whether it did. cancel: sends SIGINT to those processes.
    """
    left = timeout
    while not ended(min(left, _EACH)):
        left -= _EACH
        if left <= 0:
            return False
        cancel()
    return True
