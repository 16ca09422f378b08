"""What is to be done before a pg_upgrade, as a checklist with states: a pure function of a snapshot.

What the snapshot cannot hold (the new server's programs, other databases) is handed in; what was not
handed in is `unknown`, never `done`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks
from pgtv.errors import UsageError
from pgtv.lifecycle.upgrade import database_points as database
from pgtv.lifecycle.upgrade import program
from pgtv.lifecycle.upgrade import server_points as server
from pgtv.lifecycle.upgrade.points import TO_DO, UNKNOWN, Question, detached
from pgtv.lifecycle.verdict import Point, Verdict

_ASKED = ("library-mismatch", "names-stale", "needs-reregister", "unlogged-reset", "never-verified",
          "verification-old")  # fmt: skip


def judge(now: Snapshot, asked: Question) -> Verdict:
    """The checklist. Raises UsageError where there is no upgrade to that release."""
    major = now.server.version_num // 10000
    if asked.to < major:
        raise UsageError(
            f"this server is PostgreSQL {now.server.version}: no way back to {asked.to}"
        )
    metadata = [c for c in all_checks().values() if c.group == "metadata" or c.id in _ASKED]
    seen = examine(now, metadata)
    points = [
        *server.releases(now, asked, seen),
        *server.target(now, asked),
        *server.room(now, asked),
        *database.registrations(now, asked, seen),
        *database.transactions(now, asked),
        *database.rows(now, asked, seen),
        *database.last(now, asked),
    ]
    left = [p for p in points if p.state == TO_DO]
    blind = [p for p in points if p.state == UNKNOWN]
    goal = f"pg_upgrade to PostgreSQL {asked.to}"
    summary = f"{len(left)} to do before {goal}" if left else f"nothing is left to do before {goal}"
    if blind:
        summary += f", {len(blind)} could not be seen"
    subject = f"{now.server.database} on {now.server.host or 'local'}:{now.server.port}"
    return Verdict(subject, summary, tuple(points), _facts(now), tuple(_commands(left, asked)))


def _facts(now: Snapshot) -> dict[str, str]:
    extension = now.extension
    return {
        "server": f"PostgreSQL {now.server.version}",
        "extension": f"{EXTENSION} {extension.version}, catalog {extension.catalog_revision or '-'}"
        if extension.installed
        else ("detached" if detached(now) else "not installed"),
        "seen": now.taken_at,
    }


def _commands(left: Sequence[Point], asked: Question) -> Iterator[str]:
    """All of it in order, for somebody who wants to go through."""
    for point in left:
        yield from (c for c in point.cure if c.startswith(("pgtv ", "SET ", "SELECT ", "ALTER ")))
    file = shlex.quote(asked.before_file or "before.json")
    bindir = asked.new.bindir if asked.new else "NEW_BIN"
    yield "pg_ctl -D OLD_DATA -m fast stop"
    yield program.line(
        f"{bindir}/pg_upgrade",
        "OLD_BIN",
        bindir,
        "OLD_DATA",
        "NEW_DATA",
        "postgres",
        f"--{asked.mode}",
    )
    yield "pg_ctl -D NEW_DATA start"
    yield asked.command(f"upgrade attach --from {file} --apply")
    yield asked.command(f"upgrade verify --before {file}")
