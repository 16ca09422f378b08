"""The process of the extension that refills TVIEWs of a database after a start, kept from ending."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from pgtv.cluster.server import Server

_TITLE = b"pg_tviews rebuild postgres"


def worker(server: Server) -> int | None:
    """It lives for some hundredths of a second: what looks for it must not look at all processes."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        postmaster = (server.data / "postmaster.pid").read_text().split()[0]
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
        for pid in children.split():
            if _TITLE in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    return None


def held(server: Server) -> int | None:
    """Stop it in its tracks, where it is there just now; SIGCONT lets it go on."""
    pid = worker(server)
    if pid is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        return pid
    return None
