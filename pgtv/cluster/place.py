"""Where throwaway servers have their data."""

from __future__ import annotations

import os

VARIABLE = "PGTV_TEMP"


def place() -> str:
    """The folder that PGTV_TEMP names, else /tmp. In memory (/dev/shm) servers are made faster.

    Not TMPDIR: a server's socket lies below it, and its path may have 107 bytes only.
    """
    return os.environ.get(VARIABLE) or "/tmp"  # noqa: S108
