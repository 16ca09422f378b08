"""Room left for data, where it can be known: SQL does not tell, the file system of the same host does.

Only a connection through a Unix socket proves that we are on the server's host, and even then the
server may live in a container with the same path meaning something else: the device of the socket's
own directory is no proof, so the data directory must exist and hold a PG_VERSION or be unreadable.
"""

from __future__ import annotations

import os
from pathlib import Path

DATA_DIRECTORY = """
SELECT CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
            THEN pg_catalog.current_setting('data_directory') END AS path
"""


def room(host: str, data_directory: str | None) -> tuple[int, int] | None:
    """(total, free for unprivileged users) bytes of the data directory's file system, or None."""
    if not host.startswith("/") or not data_directory:
        return None
    path = Path(data_directory)
    try:
        if not path.is_dir() or (os.access(path, os.R_OK) and not (path / "PG_VERSION").exists()):
            return None
        stat = os.statvfs(path)
    except OSError:
        return None
    return stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize
