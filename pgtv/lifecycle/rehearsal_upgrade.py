"""An upgrade rehearsed from end to end: on servers made of a dump or a base backup, and thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.cluster import binaries
from pgtv.cluster.server import Server
from pgtv.errors import Exit, NotPossible, PgtvError, UsageError
from pgtv.lifecycle import rehearsal_backup, rehearsal_hops, rehearsal_server
from pgtv.lifecycle.rehearsal import Clock, Rehearsal, failed
from pgtv.lifecycle.verdict import Point

_OUTCOME = {
    Exit.HEALTHY: "the upgrade works: everything is as before, and rows are equal",
    Exit.WARNING: "the upgrade works, and something is other than before",
    Exit.CRITICAL: "the upgrade does not work like this",
    Exit.UNKNOWN: "the upgrade works, and not everything could be compared",
}
_INSTALL = "install the extension for that release, or name its folder: --old-bindir, --new-bindir"


@dataclass(frozen=True)
class Wish:
    """What to rehearse. to: majors, one after the other. release: of the extension, in place, first.

    old, new: folders with bin/ for the first server and for the majors named, by major.
    """

    source: Path
    to: tuple[int, ...]
    release: str | None = None
    mode: str = "copy"
    roles: Path | None = None
    old: Path | None = None
    new: tuple[Path, ...] = ()


def rehearse(wish: Wish) -> Rehearsal:
    """Do it all, and tell. A phase that fails makes the verdict; it is no error.

    Raises UsageError for a source that is none, NotPossible where binaries are missing.
    """
    backup = rehearsal_backup.is_backup(wish.source)
    first = (
        rehearsal_backup.backup_major(wish.source) if backup
        else rehearsal_server.dumped_major(wish.source)
    )  # fmt: skip
    old = wish.old or _found(first)
    targets = [_target(wish.new, major) for major in _rising(first, wish.to)]
    released = _release(first, wish.release) if wish.release else None
    clock, points = Clock(), list[Point]()
    facts = {"from": f"PostgreSQL {first}", "mode": f"--{wish.mode}"}
    server: Server | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="pgtv-rehearsal-") as folder:
            with clock.phase("restore") as phase:
                if backup:
                    server = rehearsal_backup.from_backup(old, wish.source)
                else:
                    server, lines = rehearsal_server.from_dump(old, wish.source, wish.roles)
                    phase.commands.extend(lines)
            names = rehearsal_server.databases(server)
            if not names:
                raise UsageError(f"{wish.source} holds no database with {EXTENSION}")
            facts["databases"] = ", ".join(names)
            if released:
                done = rehearsal_hops.release(clock, server, released, Path(folder))
                points += done.points
            for target in targets:
                done = rehearsal_hops.major(clock, server, target, Path(folder), wish.mode)
                points += done.points
                server.destroy()
                server = done.server
    except (UsageError, NotPossible):
        raise
    except PgtvError:
        points.append(failed(clock.phases[-1]))
    finally:
        if server:
            server.destroy()
    facts |= _measured(clock)
    verdict = Rehearsal(
        "upgrade", str(wish.source), "", clock.at, tuple(clock.phases), tuple(points)
    )
    return Rehearsal(
        "upgrade", str(wish.source), _OUTCOME[verdict.exit], clock.at, tuple(clock.phases),
        tuple(points), facts, clock.elapsed,
    )  # fmt: skip


def _measured(clock: Clock) -> dict[str, str]:
    down = clock.seconds("pg_upgrade --check", "pg_upgrade", "initdb", "start")
    refused = down + clock.seconds("detach", "attach")
    return {
        "server down": f"{minutes(down)} at most (a new cluster and --check can be made before)",
        "writes refused": f"{minutes(refused)} at most (attach compares rows beside writers)",
    }


def minutes(seconds: float) -> str:
    """As people say how long something took."""
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _rising(first: int, to: Sequence[int]) -> list[int]:
    for before, after in zip((first, *to), to, strict=False):
        if after <= before:
            raise UsageError(f"from PostgreSQL {before} there is no upgrade to {after}")
    return list(to)


def _target(given: Sequence[Path], major: int) -> Path:
    for folder in given:
        if binaries.version(folder) == major:
            return folder
    return _found(major)


def _found(major: int) -> Path:
    if found := binaries.extended(major):
        return found
    raise NotPossible(f"no PostgreSQL {major} with {EXTENSION} is here", _INSTALL)


def _release(major: int, release: str) -> Path:
    if found := binaries.real(major, release):
        return found
    raise NotPossible(f"no PostgreSQL {major} with {EXTENSION} {release} is here", _INSTALL)
