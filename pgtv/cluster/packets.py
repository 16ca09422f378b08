"""Drop every packet of a container, in both directions, without telling it or its peers.

Images have no firewall and containers no right to change theirs, so it is done from outside: by this
machine's iptables in the container's network namespace, which goes with the container.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from pgtv.errors import ClusterError

_ELSEWHERE = ("tcp://", "ssh://", "http://", "https://")


def why_not() -> str | None:
    """Why packets cannot be dropped here, or None."""
    if sys.platform != "linux" or os.environ.get("DOCKER_HOST", "").startswith(_ELSEWHERE):
        return "containers run on another machine than this: their packets cannot be dropped"
    if os.geteuid() != 0:
        return "only root can drop the packets of a container"
    lacking = [name for name in ("nsenter", "iptables") if not shutil.which(name)]
    return f"packets cannot be dropped: there is no {lacking[0]} here" if lacking else None


def drop(pid: int) -> None:
    """Drop what comes to and leaves from the container of this process. Raises ClusterError."""
    for chain in ("INPUT", "OUTPUT"):
        done = subprocess.run(
            ["nsenter", "-t", str(pid), "-n", "iptables", "-A", chain, "-j", "DROP"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ClusterError(f"packets cannot be dropped: {done.stderr.strip()}")
