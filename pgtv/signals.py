"""What ends a process from outside ends it as Ctrl-C does: in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_interruption() -> Iterator[None]:
    """Meanwhile SIGTERM, and SIGHUP of a terminal that is gone, raise KeyboardInterrupt: statements are
    cancelled, receipts say so, throwaway servers are removed, and the exit code is 130.

    One that is ignored (nohup) or handled already stays so, and only the main thread can do it.
    """
    main = threading.current_thread() is threading.main_thread()
    ending = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if main and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in ending:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
