"""Points of an upgrade's checklist about databases: registrations, transactions, rows, detaching."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

from pgtv import fence
from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import Examination, State
from pgtv.finding import Severity
from pgtv.lifecycle.upgrade import detach, same
from pgtv.lifecycle.upgrade.points import (
    UNKNOWN,
    Question,
    detached,
    done,
    from_findings,
    none,
    of,
    todo,
    unknown,
)
from pgtv.lifecycle.verdict import Point

_VERIFIED = ("never-verified", "verification-old")


def registrations(now: Snapshot, asked: Question, seen: Examination) -> Iterator[Point]:
    if not now.extension.installed:
        for name in ("names", "reregister", "metadata"):
            yield none(
                name, "TVIEWs are detached." if detached(now) else "There are no TVIEWs here."
            )
        return
    for name, check, well in (
        ("names", "names-stale", "Every registration names what is there."),
        ("reregister", "needs-reregister", "No TVIEW waits to be re-registered."),
    ):
        outcome = of(seen, check)
        if outcome.state is State.UNKNOWN:
            yield unknown(name, outcome.reason or "could not be seen")
        elif outcome.state is State.NOT_APPLICABLE:
            yield none(name, outcome.reason or "")
        elif outcome.findings:
            yield from_findings(name, outcome.findings, asked)
        else:
            yield done(name, well)
    bare = replace(now, prepared=(), leases=())  # these are points of their own
    why = detach.obstacles(bare, seen.findings, asked.dependents or ())
    if why:
        yield todo("metadata", "Detaching will refuse this database as it is.", why,
                    (asked.command("doctor"),), grave=True)  # fmt: skip
    elif asked.dependents is None:
        yield unknown("metadata", "Registrations are sound. What else DROP EXTENSION would take along "
                       "is known to the server only.", asked.command("upgrade detach --snapshot X"),
                       )  # fmt: skip
    else:
        yield done("metadata", f"{len(now.tviews)} registrations are sound, and nothing of yours "
                    "depends on the extension.")  # fmt: skip


def transactions(now: Snapshot, asked: Question) -> Iterator[Point]:
    if gap := now.gap("prepared"):
        yield unknown("prepared", f"Prepared transactions could not be seen: {gap.reason}")
    elif now.prepared:
        yield todo("prepared", "Transactions are prepared: pg_upgrade refuses, whatever database they "
                    "are of.", [f"{p.gid} ({p.database}, by {p.owner})" for p in now.prepared],
                    (asked.command("2pc list"),))  # fmt: skip
    else:
        yield done("prepared", "No transaction is prepared, in any database.")
    if gap := now.gap("leases"):
        yield unknown("leases", f"Leases of disabled triggers could not be seen: {gap.reason}")
    elif now.leases:
        yield todo("leases", "Triggers are disabled for a time, or rows are owed since.",
                    [f"lease {x.id}: {x.reason}" for x in now.leases],
                    (asked.command("triggers enable --apply"),))  # fmt: skip
    else:
        yield done("leases", "No trigger is disabled for a time.")


def rows(now: Snapshot, asked: Question, seen: Examination) -> Iterator[Point]:
    tables = (now.by_oid.get(t.table_oid) for t in now.tviews)
    unlogged = [r.qualified for r in tables if r and r.persistence == "u"]
    outcome = of(seen, "unlogged-reset")
    if outcome.findings:
        yield from_findings("unlogged", outcome.findings, asked)
    elif unlogged:
        yield done("unlogged", "UNLOGGED TVIEWs keep their rows: pg_upgrade wants a server that was "
                    "stopped cleanly.", unlogged)  # fmt: skip
    else:
        yield none("unlogged", "No TVIEW is UNLOGGED.")
    if not now.tviews:
        yield none("contents", "There are no TVIEWs to verify.")
        return
    unseen = [o.reason for o in (of(seen, c) for c in _VERIFIED)
              if o.state is State.UNKNOWN]  # fmt: skip
    findings = [f for c in _VERIFIED for f in of(seen, c).findings]
    if unseen:
        yield unknown("contents", f"When rows were verified could not be seen: {unseen[0]}")
    elif findings:
        yield todo("contents", "Rows were not compared lately. Drift of before would be found after the "
                    "upgrade, and blamed on it.", [f.detail for f in findings],
                    (asked.command("verify"),))  # fmt: skip
    else:
        yield done("contents", f"Rows of all {len(now.tviews)} TVIEWs were compared lately.")


def last(now: Snapshot, asked: Question) -> Iterator[Point]:
    others = asked.others
    if others is None:
        others = {d: None for d in now.server.databases if d != now.server.database}
    having = sorted(d for d, has in others.items() if has)
    blind = sorted(d for d, has in others.items() if has is None)
    if having:
        yield todo("other-databases", "pg_upgrade takes the whole cluster: these have the extension, "
                    "too.", having, [_detach(d) for d in having])  # fmt: skip
    elif blind:
        yield Point("other-databases", Severity.UNKNOWN, "Whether these have the extension was not seen; "
                    "pg_upgrade takes the whole cluster.", tuple(blind), (), UNKNOWN)  # fmt: skip
    else:
        yield done("other-databases", "No other database of the cluster has the extension.")
    yield from _saved(now, asked)
    if detached(now):
        yield done("detached", "TVIEWs are detached, and writes to what they read are refused.")
    elif now.extension.installed:
        file = shlex.quote(asked.before_file or "before.json")
        yield todo("detached", f"The last thing before the old server is stopped: {EXTENSION} has to go, "
                    "for pg_upgrade dies on it although --check passes. Writes are refused from then on.",
                    cure=(asked.command(f"upgrade detach --snapshot {file} --apply"),))  # fmt: skip
    elif now.extension.leftovers:
        yield todo("detached", f"{EXTENSION} is not here, and neither is a fence: tables that look like "
                    "TVIEWs are left, and writes do not reach them.", now.extension.leftovers,
                    (asked.command("upgrade attach --from SNAPSHOT"),), grave=True)  # fmt: skip
    else:
        yield none("detached", "There is nothing to detach in this database.")


def _detach(database: str) -> str:
    file = database.replace("/", "_") + ".json"
    return shlex.join(["pgtv", "upgrade", "detach", "-d", database, "--snapshot", file, "--apply"])


def _saved(now: Snapshot, asked: Question) -> Iterator[Point]:
    if asked.before is None:
        if detached(now):
            yield unknown("snapshot", "Attaching needs the snapshot that detaching saved; the comment on "
                           f"schema {fence.SCHEMA} names it.",
                           asked.command("preflight upgrade --before SNAPSHOT"))  # fmt: skip
        else:
            yield none("snapshot", "Detaching saves it. Keep it where the upgrade cannot reach.")
        return
    held = asked.before
    if held.server.database != now.server.database:
        yield todo(
            "snapshot", f"{asked.before_file} is of database {held.server.database}.", grave=True
        )
    elif detached(now):
        yield done(
            "snapshot", f"{asked.before_file} of {held.taken_at} holds {len(held.tviews)} TVIEWs."
        )
    elif changes := same.compare(held, now).changes:
        yield todo("snapshot", f"{asked.before_file} is older than {len(changes)} changes. Detaching "
                    "saves a new one, under another name.")  # fmt: skip
    else:
        yield done("snapshot", f"{asked.before_file} of {held.taken_at} is as this database is.")
