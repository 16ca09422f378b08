"""One step of an upgrade on throwaway servers, by the very commands that production will see."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pgtv.catalog import codec, dialects
from pgtv.catalog.dialects.base import EXTENSION
from pgtv.cluster import binaries
from pgtv.cluster.server import Server
from pgtv.errors import ClusterError, Exit, UsageError
from pgtv.finding import Severity
from pgtv.lifecycle.upgrade import died as upgrade_died
from pgtv.lifecycle.upgrade import log as upgrade_log
from pgtv.lifecycle.upgrade import program, rehearsal_verify
from pgtv.lifecycle.upgrade.rehearsal import Clock, Running
from pgtv.lifecycle.upgrade.rehearsal_server import (
    SETTINGS,
    databases,
    extension_version,
    look,
    pgtv,
)
from pgtv.lifecycle.upgrade.target import checksums
from pgtv.lifecycle.verdict import Point

MODES = ("copy", "link", "clone")
COMPARING = "24h"  # statement_timeout
ENOUGH = 86400.0  # seconds; a rehearsal takes as long as it takes


@dataclass(frozen=True)
class Rehearsed:
    """What a hop left: the server that runs now, its databases, what was found."""

    server: Server
    points: tuple[Point, ...]


def major(
    clock: Clock, old: Server, new: Path, folder: Path, mode: str, servers: list[Server]
) -> Rehearsed:
    """Detach, pg_upgrade, attach, verify: from `old`, which is stopped, to the binaries `new`.

    folder: where snapshots and receipts go. mode: how pg_upgrade carries files over. The server made
    is the caller's to destroy, is added to `servers`, and is kept where `old` is. Raises ClusterError
    where a phase fails; it is destroyed then.
    """
    saved = _files(databases(old), f"before-{binaries.version(new)}")
    with clock.phase("detach") as phase:
        for name, file in saved.items():
            before = ("--snapshot", str(folder / file))
            _do(old, name, phase, folder, "upgrade", "detach", *before, "--apply")
    made = Server(new, SETTINGS, old.superuser, old.keep, within=old.within)
    servers.append(made)
    try:
        with clock.phase("initdb") as phase:
            options = _alike(old, binaries.version(new))
            phase.commands.append(shlex.join(["initdb", "-U", old.superuser, *options]))
            made.init(*options)
        with clock.phase("stop"):
            # a last checkpoint may be long, and pg_upgrade refuses a cluster that was killed
            old.stop(timeout=ENOUGH)
        for name, more in (("pg_upgrade --check", ["--check"]), ("pg_upgrade", [])):
            with clock.phase(name) as phase:
                phase.commands.append(
                    program.line(
                        f"{new}/bin/pg_upgrade", f"{old.binaries}/bin", f"{new}/bin",
                        "OLD_DATA", "NEW_DATA", old.superuser, f"--{mode}", *more,
                    )
                )  # fmt: skip
                _pg_upgrade(old, made, f"--{mode}", *more)
        with clock.phase("start"):
            made.start()
        with clock.phase("attach") as phase:
            for name, file in saved.items():
                source = ("--from", str(folder / file))
                _do(made, name, phase, folder, "upgrade", "attach", *source, "--apply")
        with clock.phase("statistics") as phase:
            phase.commands.append("vacuumdb --all --analyze-only")
            made.program("vacuumdb", "--all", "--analyze-only", timeout=ENOUGH)
        with clock.phase("verify") as phase:
            points = [*_verified(made, phase, folder, saved)]
    except BaseException:
        made.destroy()
        raise
    return Rehearsed(made, tuple(points))


def release(clock: Clock, server: Server, new: Path, folder: Path) -> Rehearsed:
    """The extension's own update: its package swapped under the server, then ALTER EXTENSION.

    Raises ClusterError where a phase fails.
    """
    saved = _files(databases(server), "before-update")
    with clock.phase("snapshot") as phase:
        for name, file in saved.items():
            phase.commands.append(shlex.join(["pgtv", "snapshot", "save", file, "-d", name]))
            codec.save(look(server, name), folder / file)
    with clock.phase("package") as phase:
        phase.commands.append("stop the server, install the package, start it")
        server.stop()
        server.binaries = new
        server.start()
    with clock.phase("update") as phase:
        for name in saved:
            statement = dialects.named(look(server, name).extension.generation).update_extension()
            phase.commands.append(f"psql -d {shlex.quote(name)} -c {shlex.quote(statement)}")
            server.psql(statement, name)
            phase.said = f"{EXTENSION} {extension_version(server, name)}"
    with clock.phase("verify") as phase:
        points = [*_verified(server, phase, folder, saved)]
    return Rehearsed(server, tuple(points))


def _files(names: Sequence[str], what: str) -> dict[str, str]:
    """A file name for each database, whatever its own name holds."""
    return {name: f"{what}-{number}.json" for number, name in enumerate(names, 1)}


def _verified(
    server: Server, phase: Running, folder: Path, saved: Mapping[str, str]
) -> Iterator[Point]:
    """saved: the file of each database's snapshot of before."""
    for name, file in saved.items():
        phase.commands.append(
            shlex.join(["pgtv", "upgrade", "verify", "--before", file, "-d", name])
        )
        target = replace(server.target(name), statement_timeout=COMPARING)
        yield from rehearsal_verify.points(codec.load(folder / file), look(server, name), target)


def _do(server: Server, database: str, phase: Running, folder: Path, *args: str) -> None:
    """Run a command of pgtv that applies. Raises ClusterError where it does not do what is asked."""
    number = len(list(folder.glob("receipt-*")))
    said = pgtv(server, database, *args, "--receipt", str(folder / f"receipt-{number}.json"))
    shown = [Path(a).name if a.startswith(str(folder)) else a for a in args]
    phase.commands.append(shlex.join(["pgtv", *shown, "-d", database]))
    phase.said = said.last
    # attaching exits 1 where something is other than before: verifying tells what
    if said.code not in (Exit.HEALTHY, Exit.WARNING):
        raise ClusterError(f"{database}: {said.complaint}")


def _alike(old: Server, major: int) -> list[str]:
    """Options of initdb that make a cluster of `major` which pg_upgrade takes."""
    told = old.program("pg_controldata", "-D", str(old.data))
    facts = dict(re.findall(r"^(.*?):\s+(.*)$", told, re.M))
    checked = facts.get("Data page checksum version", "0") != "0"
    segment = int(facts.get("Bytes per WAL segment", 16777216)) // (1 << 20)
    return [*checksums(checked, major), f"--wal-segsize={segment}"]


def _pg_upgrade(old: Server, new: Server, *options: str) -> None:
    try:
        new.program(
            "pg_upgrade", "-b", str(old.binaries / "bin"), "-B", str(new.binaries / "bin"),
            "-d", str(old.data), "-D", str(new.data), "-s", str(new.root), "-U", old.superuser,
            *program.OPTIONS, *options, timeout=ENOUGH, env=new.env() | {"PGCTLTIMEOUT": str(int(ENOUGH))},
        )  # fmt: skip
    except ClusterError as e:
        raise ClusterError(_why(new) or e.message) from None


def _why(new: Server) -> str | None:
    """What the logs tell of a pg_upgrade that died: the causes, not what to do with two clusters."""
    try:
        found = upgrade_died.judge(upgrade_log.read(new.data), "")
    except UsageError:
        return None
    causes = [p for p in found.points[1:] if p.severity is not Severity.INFO]
    return " ".join(" ".join((p.text, *p.objects[:1])) for p in causes) or None
