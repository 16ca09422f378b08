"""An upgrade rehearsed from end to end, on servers made of a dump or base backup and thrown away."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.cluster import binaries
from pgtv.cluster.place import place
from pgtv.cluster.reaper import of_folder
from pgtv.cluster.server import Server
from pgtv.errors import ClusterError, Exit, NotPossible, PgtvError, UsageError
from pgtv.lifecycle.restore import server as restore_server
from pgtv.lifecycle.restore.backup import Backup, look_at
from pgtv.lifecycle.upgrade import rehearsal_hops, rehearsal_live, rehearsal_server
from pgtv.lifecycle.upgrade.rehearsal import Clock, Rehearsal, Say
from pgtv.lifecycle.verdict import Point
from pgtv.session import Target

_OUTCOME = {
    Exit.HEALTHY: "the upgrade works: everything is as before, and rows are equal",
    Exit.WARNING: "the upgrade works, and something is other than before",
    Exit.CRITICAL: "the upgrade does not work like this",
    Exit.UNKNOWN: "the upgrade works, and not everything could be compared",
}
_INSTALL = "install the extension for that release, or name its folder: --old-bindir, --new-bindir"


@dataclass(frozen=True)
class Wish:
    """What to rehearse: a dump or base backup at a path, or a running database, which is dumped.

    to: majors, one after the other. release: of the extension, in place, before them. old, new: folders
    with bin/ for the first server and for the majors named. temp: where servers are made. keep: leave
    their data there, stopped.
    """

    source: Path | Target
    to: tuple[int, ...]
    release: str | None = None
    mode: str = "copy"
    roles: Path | None = None
    old: Path | None = None
    new: tuple[Path, ...] = ()
    temp: Path = field(default_factory=lambda: Path(place()))
    superuser: str = "postgres"
    keep: bool = False


def rehearse(wish: Wish, say: Say) -> Rehearsal:
    """Do it all, and tell. A phase that fails makes the verdict; it is no error. `say` gets progress.

    Raises UsageError for a source that is none, NotPossible where binaries or room are missing.
    """
    if not wish.temp.is_dir():
        raise UsageError(f"there is no folder {wish.temp}")
    clock = Clock(say)
    with _folder(wish.temp) as folder:
        roles, old = wish.roles, wish.old
        if isinstance(wish.source, Target):
            with clock.phase("dump") as phase:
                phase.commands.append("pg_dump -Fc; pg_dumpall --roles-only --no-role-passwords")
                dumped = rehearsal_live.dump(wish.source, folder, wish.old)
            backup, roles, old = look_at(dumped.file), roles or dumped.roles, dumped.binaries
            subject = "a dump of the running database"
        else:
            backup, subject = look_at(wish.source), str(wish.source)
        return _rehearse(wish, backup, subject, roles, old, folder, clock)


@contextlib.contextmanager
def _folder(within: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, whatever becomes of this process."""
    with tempfile.TemporaryDirectory(prefix="pgtv-rehearsal-", dir=within) as name:
        reaper = of_folder(Path(name))
        try:
            yield Path(name)
        finally:
            reaper.dismiss()


def _rehearse(
    wish: Wish, backup: Backup, subject: str, roles: Path | None, old: Path | None, folder: Path,
    clock: Clock,
) -> Rehearsal:  # fmt: skip
    old = old or restore_server.choose(backup, None, None)
    first = binaries.version(old)
    if backup.major not in (None, first):
        raise NotPossible(f"no PostgreSQL {backup.major} with {EXTENSION} is here", _INSTALL)
    targets = [_target(wish.new, major) for major in _rising(first, wish.to)]
    released = _release(first, wish.release) if wish.release else None
    _room(wish, backup)
    points: list[Point] = []
    facts = {"from": f"PostgreSQL {first}, {backup.kind}"}
    if targets:
        facts["mode"] = f"--{wish.mode}"
    server: Server | None = None
    made: list[Server] = []
    passed: list[Server] = []
    try:
        with clock.phase("restore") as phase:
            server, lines = rehearsal_server.restored(backup, old, wish.temp, roles, wish.superuser)
            phase.commands.extend(lines)
        server.keep = wish.keep
        made.append(server)
        names = rehearsal_server.databases(server)
        if not names:
            raise UsageError(f"{subject} holds no database with {EXTENSION}")
        facts["databases"] = ", ".join(names)
        if released:
            done = rehearsal_hops.release(clock, server, released, folder)
            points += done.points
        for target in targets:
            done = rehearsal_hops.major(clock, server, target, folder, wish.mode, made)
            points += done.points
            if not wish.keep:
                # its tablespaces stay to the end: the next server has its rows there as well
                shutil.rmtree(server.data, ignore_errors=True)
            passed.append(server)
            server = done.server
    except (UsageError, NotPossible):
        raise
    except (PgtvError, psycopg.Error) as e:
        points.append(clock.failed(e))
    finally:
        if server:
            if wish.keep:
                with contextlib.suppress(ClusterError):
                    server.stop()  # cleanly: what is kept can be started
            server.destroy()
        for one in passed:
            one.destroy()
    if wish.keep:
        facts["kept"] = ", ".join(str(s.root) for s in made)
    facts |= _measured(clock, bool(targets))
    verdict = Rehearsal("upgrade", subject, "", clock.at, tuple(clock.phases), tuple(points))
    return Rehearsal(
        "upgrade", subject, _OUTCOME[verdict.exit], clock.at, tuple(clock.phases), tuple(points),
        facts, clock.elapsed,
    )  # fmt: skip


def _room(wish: Wish, backup: Backup) -> None:
    """The backup itself and, with --copy, the whole cluster once more."""
    times = 2 if wish.to and wish.mode == "copy" else 1
    free = shutil.disk_usage(wish.temp).free
    if free < backup.room * times:
        raise NotPossible(
            f"the rehearsal takes about {restore_server.size(backup.room * times)}, and {wish.temp} has"
            f" {restore_server.size(free)}",
            "name a folder with more room: --temp DIR",
        )


def _measured(clock: Clock, major: bool) -> dict[str, str]:
    if not major:
        failing = clock.seconds("package", "update")
        return {"writes fail": f"{minutes(failing)}: from the new package to the end of the update"}
    down = clock.seconds("stop", "pg_upgrade", "start")
    refused = down + clock.seconds("detach", "attach")
    return {
        "server down": f"{minutes(down)}, once the new cluster is made and --check has passed",
        "writes refused": f"{minutes(refused)} at most: attaching lets them in before it compares rows",
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
    if found := binaries.extended(major):
        return found
    raise NotPossible(f"no PostgreSQL {major} with {EXTENSION} is here", _INSTALL)


def _release(major: int, release: str) -> Path:
    if found := binaries.real(major, release):
        return found
    raise NotPossible(f"no PostgreSQL {major} with {EXTENSION} {release} is here", _INSTALL)
