"""What to type after a pg_upgrade that died: now, to go on, and to try it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pgtv.cluster.launcher import NAMES
from pgtv.finding import Severity
from pgtv.lifecycle.upgrade import program
from pgtv.lifecycle.upgrade.log import HANGS, Log
from pgtv.lifecycle.verdict import Point


def go_on(log: Log) -> Iterator[str]:
    """What follows an upgrade that came to its end."""
    yield start(log.new_bin, log.new or "NEW_DATA")
    yield "pgtv upgrade attach --from SNAPSHOT --apply   # the one that detaching saved"


def stop(log: Log, data: str) -> Iterator[str]:
    """Stop a server that may be stopping already, and held up by the extension."""
    command = _ctl(log.new_bin if data == log.new else log.old_bin, data, "-m fast stop")
    if log.control and HANGS in log.control:
        yield f"pkill -INT -P $(head -n 1 {shlex.quote(data)}/postmaster.pid) -f '{NAMES}'"
        command += "   # unless it has ended"
    yield command


def start(folder: str | None, data: str) -> str:
    return _ctl(folder, data, "-l server.log start") + "   # or as your service does it"


def now(log: Log, way: Point) -> Iterator[str]:
    """What to run now: the old server, for somebody waits for it."""
    old = log.old or "OLD_DATA"
    if way.severity is not Severity.WARNING or way.id == "not-begun":
        return
    for data in log.running:
        yield from stop(log, data)
    if way.id == "linked":
        control = f"{old}/global/pg_control"
        yield f"mv {shlex.quote(control + '.old')} {shlex.quote(control)}"
    yield start(log.old_bin, old)


def again(log: Log, way: Point) -> Iterator[str]:
    """The upgrade anew, once the old server serves."""
    old, new = log.old or "OLD_DATA", log.new or "NEW_DATA"
    yield "pgtv preflight upgrade   # in each database that has the extension"
    if log.in_the_way:
        name = shlex.quote(log.database or "DATABASE")
        yield f"pgtv upgrade detach -d {name} --snapshot before.json --apply"
    yield _ctl(log.old_bin, old, "-m fast stop")
    user = log.user or "postgres"
    if way.id != "checks-failed":
        yield f"rm -rf {shlex.quote(new)}"
        yield (
            f"{_program(log.new_bin, 'initdb')} -D {shlex.quote(new)} -U {shlex.quote(user)}"
            "   # options as before"
        )
    called = f"{log.new_bin}/pg_upgrade" if log.new_bin else "pg_upgrade"
    old_bin, new_bin = log.old_bin or "OLD_BIN", log.new_bin or "NEW_BIN"
    yield program.line(called, old_bin, new_bin, old, new, user) + "   # further options as before"


def _program(folder: str | None, name: str) -> str:
    return shlex.quote(f"{folder}/{name}") if folder else name


def _ctl(folder: str | None, data: str, verb: str) -> str:
    return f"{_program(folder, 'pg_ctl')} -D {shlex.quote(data)} {verb}"
