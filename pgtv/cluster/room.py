"""A small disk for a throwaway server: a file system in memory, which can be filled and freed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pgtv.errors import ClusterError

BALLAST = "ballast"
_CHUNK = bytes(1 << 16)


def cannot_mount() -> str | None:
    """Why no file system can be mounted here, or None."""
    if sys.platform != "linux" or not shutil.which("mount"):
        return "small disks are made by Linux's mount only"
    return None if os.geteuid() == 0 else "mounting a small disk needs root"


def mount(folder: Path, megabytes: int) -> None:
    """Mount a file system of so many MiB on a new folder. Raises ClusterError."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=1777", "pgtv", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ClusterError(f"cannot mount a small disk: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Unmount, whoever still has files open there; nothing to do where nothing is mounted."""
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def fill(folder: Path) -> None:
    """Write a file until no byte is left."""
    with (folder / BALLAST).open("ab", buffering=0) as ballast:
        try:
            while ballast.write(_CHUNK):  # a short write comes before the error
                pass
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise ClusterError(f"cannot fill {folder}: {e.strerror}") from None


def free(folder: Path) -> None:
    (folder / BALLAST).unlink(missing_ok=True)
