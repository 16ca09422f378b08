"""The throwaway server that a backup is restored into: which binaries, whether there is room, started."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot
from pgtv.cluster import binaries
from pgtv.cluster.server import Server
from pgtv.errors import ClusterError, NotPossible, UsageError
from pgtv.lifecycle.restore.backup import Backup

# as a server that keeps its data: else the times say little
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_MAJORS = range(15, 30)
_LONGEST = 75  # bytes; the server's folder and its socket's name take the other 32


def choose(backup: Backup, bindir: Path | None, before: Snapshot | None) -> Path:
    """The folder of the binaries, with the extension in them.

    The release that the source's snapshot names is preferred. Raises UsageError for a folder that
    holds none or another major than a base backup needs, NotPossible where none is found.
    """
    if bindir is not None:
        return _given(backup, bindir)
    release = before.extension.version if before else None
    majors = [m for m in _MAJORS if backup.major is None or m >= backup.major]
    for major in majors if backup.is_dump else [m for m in majors if m == backup.major]:
        found = (binaries.real(major, release) if release else None) or binaries.extended(major)
        if found is not None:
            return found
    wanted = f"PostgreSQL {backup.major}" if backup.major else "PostgreSQL"
    raise NotPossible(
        f"no {wanted} with {EXTENSION} is here to restore into",
        "install both, or name where they are: --bindir DIR (as `pg_config --bindir` prints it)",
    )


def _given(backup: Backup, bindir: Path) -> Path:
    folder = bindir.parent if (bindir / "initdb").exists() else bindir
    if not (folder / "bin" / "initdb").exists():
        raise UsageError(f"there is no initdb in {bindir}", "name what `pg_config --bindir` prints")
    major = binaries.version(folder)
    if backup.major and major < backup.major:
        raise UsageError(
            f"the backup is of PostgreSQL {backup.major}, and {bindir} has {major}",
            f"name the binaries of PostgreSQL {backup.major}",
        )
    if not backup.is_dump and major != backup.major:
        raise UsageError(
            f"a base backup of PostgreSQL {backup.major} starts with that release only, and {bindir}"
            f" has {major}",
            f"name the binaries of PostgreSQL {backup.major}",
        )
    return folder


def room(backup: Backup, within: Path) -> None:
    """Raises NotPossible where `within` has less room than the restore is thought to take.

    UsageError where it is no place for a server at all.
    """
    if len(os.fsencode(within)) > _LONGEST:
        raise UsageError(
            f"{within} is too long a path: the server's socket lies below it, and its name may have 107"
            " bytes",
            "name a shorter one: --temp DIR",
        )
    try:
        free = shutil.disk_usage(within).free
    except OSError as e:
        raise UsageError(f"cannot use {within}: {e.strerror or e}") from None
    if free < backup.room:
        raise NotPossible(
            f"the restore takes about {size(backup.room)} ({backup.room_from}), and {within} has"
            f" {size(free)}",
            "name a folder with more room: --temp DIR",
        )


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 10_240 or unit == "GB":
            return f"{count:,.0f} {unit}"
        count /= 1024
    raise AssertionError


def start(server: Server, say: Callable[[str], None]) -> None:
    """Start, and wait as long as recovery takes. Raises ClusterError, with what its log says last."""
    import psycopg

    server.start(wait=False)
    told = time.monotonic()
    while True:
        server.check_alive()
        try:
            with server.connect(connect_timeout=5) as connection:
                row = connection.execute(
                    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_last_wal_replay_lsn()::text"
                ).fetchone()
            if row and not row[0]:
                return
            where = f"replayed to {row[1]}" if row else "replaying"
        except psycopg.OperationalError as e:
            if "does not exist" in str(e):
                raise ClusterError(
                    f"cannot log in to what was restored: {' '.join(str(e).split())}",
                    "name a superuser of the source: -U ROLE",
                ) from None
            where = "replaying, not consistent yet"
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"recovery: {where}")
        time.sleep(0.05)


def why_not(log: str) -> str:
    """The line of a server's log that tells why it did not start."""
    lines = log.splitlines()
    # whoever asks too early is answered by a FATAL of its own
    telling = [
        line
        for line in lines
        if ("FATAL:" in line or "PANIC:" in line) and "the database system is" not in line
    ]
    text = (telling or lines or ["its log is empty"])[0 if telling else -1]
    for mark in ("FATAL:", "PANIC:"):
        if mark in text:
            text = mark + text.partition(mark)[2]
    return " ".join(text.split())


def settings(preload: tuple[str, ...], more: Mapping[str, str]) -> dict[str, str]:
    """What the server is configured with, beside what every throwaway server has."""
    return {**DURABLE, "shared_preload_libraries": ",".join(preload), **more}
