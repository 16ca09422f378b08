"""Runs one fault from injection to cure by the command: `pgtv repair --apply`, as a person goes on.

The plain command first; then what it says itself: contents compared, findings that a person decides
about named, the command that a finding names, and at last a snapshot of before.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import WRITES, Bench, Healthy, above_info
from bench import bench as make_bench
from declare import Fault
from measure import with_new, wrong
from standing import SETUP, standing
from verifying import verified

from pgtv.catalog import codec
from pgtv.cluster.server import Server
from pgtv.errors import Exit
from pgtv.finding import Finding

TOUCHED = ("repair", "--verify", "--apply")


@dataclass
class Applied:
    """cured: `repair`, `verify` (with --verify), `named` (a person decided), `command` (the one that
    the finding names), `snapshot` (repair metadata --from), `no`. commands: what was run, until all was
    right. why: what was still wrong. lost: what stood on TVIEWs before, outlived the fault, and not the
    cure.
    """

    id: str
    major: int
    cured: str = "no"
    commands: list[str] = field(default_factory=list)
    why: str = ""
    lost: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def apply(shared: Server, fault: Fault) -> Applied:
    """Inject `fault`, let it do its harm, and cure it by commands."""
    result = Applied(fault.id, shared.major)
    with make_bench(shared, fault) as b:
        if fault.setup:
            b.sql(f"SET ROLE shop_owner; {fault.setup}")
        b.sql(SETUP)
        if b.standby:
            b.replayed()
        healthy = b.registered()
        was = {f.id for f in above_info(b.doctor(fault.aged))}
        before = Path(b.file("before.json"))
        codec.save(b.snapshot(), before)
        stood = standing(b) or set()
        if callable(fault.inject):
            fault.inject(b)
        else:
            b.sql(fault.inject)
        healthy = b.registered() if fault.redefines else with_new(b, healthy)
        left = standing(b)
        stood = stood if left is None else stood & left
        b.write((*fault.writes, *WRITES), fault.writer)
        _cure(b, fault, healthy, was, before, result)
        result.lost = sorted(stood - (standing(b) or set()))
        before.unlink(missing_ok=True)
    return result


def _cure(
    b: Bench,
    fault: Fault,
    healthy: tuple[Healthy, ...],
    was: set[str],
    before: Path,
    result: Applied,
) -> None:
    if fault.unseen and not _open(b, fault, was):
        result.why = "nothing finds it"
        return
    for how, commands in _steps(b, fault, was, before):
        said = ""
        for command in commands:
            code, stderr = b.pgtv(*command, aged=fault.aged)
            result.commands.append(shlex.join(["pgtv", *command]))
            if code == Exit.UNKNOWN:
                said = " ".join(x for x in stderr.splitlines() if x.startswith(("pgtv:", "hint:")))
            assert code in iter(Exit), f"exit code {code}: {stderr[-500:]}"
        result.why = wrong(b, fault, healthy, was)
        if not result.why:
            result.cured = how
            return
        result.why += f" · pgtv said: {said}" if said else ""


def _steps(
    b: Bench, fault: Fault, was: set[str], before: Path
) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """What a person would run next; each is asked for when the one before was not enough."""
    yield "repair", [("repair", "--apply")]
    yield "verify", [TOUCHED]
    asked: set[str] = set()
    # causes only: that is what is shown first, and what a cure may take along; it may uncover more
    while decided := {
        f.id
        for f in _open(b, fault, was)
        if f.remedy and f.remedy.decide and not f.caused_by and f.id not in asked
    }:
        asked |= decided
        yield "named", [("repair", "--apply", *sorted(decided)), TOUCHED]
    commands = list(_commands(_open(b, fault, was), before))
    if commands:
        yield "command", [*commands, TOUCHED]
    # where the snapshot and what stands disagree, somebody has to decide: here for the snapshot
    for option in ("--from", "--definition"):
        yield "snapshot", [("repair", "metadata", option, str(before), "--apply"), TOUCHED]


def _commands(found: list[Finding], before: Path) -> Iterator[tuple[str, ...]]:
    """The commands that findings name, filled in and confirmed."""
    seen = set()
    for finding in found:
        words = (
            shlex.split(finding.remedy.command) if finding.remedy and finding.remedy.command else []
        )
        words = [str(before) if w in ("SNAPSHOT", "FILE") else w for w in words[1:]]
        if words[:2] == ["2pc", "show"]:
            words[1] = "rollback"
        elif not words or words[0] in ("verify", "graph", "doctor", "snapshot"):
            continue  # these look
        command = (*words, *(() if "--apply" in words else ("--apply",)))
        if command not in seen:
            seen.add(command)
            yield command


def _open(b: Bench, fault: Fault, was: set[str]) -> list[Finding]:
    """On a standby repair only looks: what it applies, it applies on the primary."""
    standby, b.standby = b.standby, None
    try:
        found = [f for f in above_info(b.doctor(fault.aged)) if f.id not in was]
        return found or verified(b)
    finally:
        b.standby = standby
