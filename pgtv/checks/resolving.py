"""The remedy for a prepared transaction: two exact statements, of which the coordinator knows one."""

from __future__ import annotations

import re
import shlex

from pgtv.catalog.dialects.base import literal
from pgtv.catalog.model import Prepared, Tview
from pgtv.catalog.waits import Wait, held_by, shut, strength, waits, written_by
from pgtv.checks.coordinators import coordinator
from pgtv.checks.declare import Context, once
from pgtv.finding import Finding, Remedy
from pgtv.pasted import connect_line

_SHOW = "pgtv 2pc show "  # what `remedy` names


def remedy(context: Context, prepared: Prepared) -> Remedy:
    """Roll back, unless its coordinator decided to commit; then refresh what a commit leaves wrong.

    Must run outside a transaction block, in the same database, as the same role or a superuser.
    """
    snapshot = context.snapshot
    gid = literal(prepared.gid).strip()
    # a name that a shell cannot be given as it stands goes by its transaction id
    named = shlex.quote(prepared.gid if prepared.gid.isprintable() else f"xid:{prepared.xid}")
    known = coordinator(prepared.gid)
    asked = f"{known} " if known else "whoever prepared it "
    sql = [
        f"-- ask {asked}first: had it decided to commit, run instead:  COMMIT PREPARED {gid};",
        f"ROLLBACK PREPARED {gid};",
    ]
    if prepared.database != snapshot.server.database:
        # only the database where it was prepared can resolve it
        sql.insert(0, connect_line(prepared.database))
    unlogged = [t.label for t in unlogged_of(context, prepared)]
    note = (
        "After COMMIT PREPARED refresh "
        + ", ".join(unlogged)
        + ": if the server crashed in between, an UNLOGGED TVIEW has lost its rows for good."
        if unlogged
        else None
    )
    return Remedy(
        sql=tuple(sql),
        command=f"pgtv 2pc show {named}",
        role=f"{prepared.owner} or a superuser, outside a transaction block",
        locks=(),
        undo=None,
        note=note,
        decide="Rolling back loses what it wrote, if its coordinator decided to commit.",
    )


def ended_by(finding: Finding) -> str | None:
    """The command that does this remedy of a prepared transaction; None of any other finding.

    Not its statements: what is ended by it leaves a record, and rows that were missed are brought.
    """
    command = (finding.remedy and finding.remedy.command) or ""
    if not command.startswith(_SHOW):
        return None
    return f"pgtv 2pc rollback {command.removeprefix(_SHOW)} --apply"


def unlogged_of(context: Context, prepared: Prepared) -> list[Tview]:
    """The UNLOGGED TVIEWs that what it wrote leads to."""
    snapshot = context.snapshot
    return [
        t for t in context.edges.affected(written_by(snapshot, prepared))
        if (relation := snapshot.by_oid.get(t.table_oid)) and relation.persistence == "u"
    ]  # fmt: skip


def waiting_sessions(context: Context) -> list[Wait]:
    """Every wait on a relation of a TVIEW, longest first; computed once a run."""
    found: list[Wait] = once(context, "waits", lambda: waits(context.snapshot))
    return found


def shuts(context: Context, *, pid: int | None = None, gid: str | None = None) -> str:
    """A sentence on the tables that a session or prepared transaction closes to writers; else empty."""
    closed = shut(context.snapshot, pid=pid, gid=gid)
    if not closed:
        return ""
    parts = []
    for mode in sorted(set(closed.values()), key=strength, reverse=True):
        names = [context.snapshot.name_of(oid) for oid, held in closed.items() if held == mode]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        parts.append(f"{spoken(mode)} on {', '.join(names[:3])}{more}")
    who = "all who read or write" if "AccessExclusiveLock" in closed.values() else "all who write"
    return f"It holds {' and '.join(parts)}: {who} there wait."


def spoken(mode: str) -> str:
    """A lock mode in the words of SQL, from those of pg_locks: AccessShareLock, ACCESS SHARE."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()


def evidence(context: Context, prepared: Prepared) -> list[dict[str, object]]:
    """What the transaction is, and what it holds of TVIEWs."""
    rows: list[dict[str, object]] = [
        {
            "gid": prepared.gid,
            "prepared_at": prepared.prepared_at,
            "age": age(prepared.age_seconds),
            "owner": prepared.owner,
            "database": prepared.database,
        }
    ]
    for oid, modes in sorted(held_by(context.snapshot, prepared.gid).items()):
        relation = context.snapshot.by_oid[oid]
        if relation.kind in "rp":
            strongest = max(modes, key=strength)
            rows.append({"holds": strongest, "on": relation.qualified})
    return rows


def age(seconds: float) -> str:
    """Seconds in words that a person compares at a glance: 5 min, 3 h, 2 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"
