"""The plan that takes the extension away and leaves every row where it is, fenced against writes.

One transaction: lock every table, make sure that the catalog is still what the snapshot says, raise
the fence, DROP EXTENSION … CASCADE. So it is done wholly or not at all, whenever it is interrupted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from pgtv import __version__, fence
from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import EXTENSION, literal
from pgtv.catalog.model import Snapshot
from pgtv.checks.versions import updates_in_place
from pgtv.finding import Finding, Severity
from pgtv.plan import Plan, Step, plan_for
from pgtv.repairs.sources import from_snapshot

# Sections without which a snapshot could not bring everything back.
NEEDED = (
    "tviews", "registry", "relations", "reads", "triggers", "grants", "roles", "valid",
    "view_definition", "privileges", "indexes",
)  # fmt: skip
_LATER = ("registry", "valid")  # early releases have no such thing
# Findings that attaching cures by itself: plans and triggers are derived anew.
CURED = ("plan-unreadable", "needs-reregister", "plan-disagrees", "reads-disagree", "names-stale")


def obstacles(snapshot: Snapshot, findings: Iterable[Finding], others: Sequence[str]) -> list[str]:
    """Why this database must not be detached as it is, each with what to do; empty when it may.

    others: what the drop would take along, as lifecycle.dependents found it.
    """
    why = []
    if snapshot.server.in_recovery:
        return ["this server is a standby: detach on the primary"]
    if not snapshot.extension.installed:
        return [f"{EXTENSION} is not installed here"]
    dialect = dialects.named(snapshot.extension.generation)
    if not dialect.detaches:
        name = f"{EXTENSION} {snapshot.extension.version}"
        if updates_in_place(snapshot.extension.version):
            return [
                f"pgtv does not know the catalog of {name}: update the extension first, in place"
            ]
        return [f"pgtv does not know the catalog of {name}"]
    if not snapshot.server.is_superuser:
        why.append(f"{snapshot.server.user} is no superuser: CREATE EXTENSION will need one")
    needed = NEEDED if dialect.has_plan else tuple(n for n in NEEDED if n not in _LATER)
    why += [
        f"{gap.section}{f' of {gap.object}' if gap.object else ''} could not be seen: {gap.reason}"
        for gap in snapshot.gaps
        if gap.section in needed
    ]
    if why:
        return why
    why += from_snapshot(snapshot).unusable.values() if snapshot.tviews else ()
    why += [
        f"transaction {p.gid} is prepared: commit it or roll it back (pg_upgrade refuses it as well)"
        for p in snapshot.prepared
        if p.database == snapshot.server.database
    ]
    why += [
        f"triggers are disabled ({lease.reason}): pgtv triggers enable, which brings the rows too"
        for lease in snapshot.leases
    ]
    why += [
        f"{f.id}: {f.title}. Repair it first: pgtv repair metadata"
        for f in findings
        if f.severity is Severity.CRITICAL and f.check not in CURED and f.caused_by is None
    ]
    why += [
        f"DROP EXTENSION would take along {what}: drop it yourself, keep its text"
        for what in others
    ]
    return why


def plan(snapshot: Snapshot, file: str) -> Plan:
    """Detach the database of `snapshot`, which was saved as `file`."""
    fenced = fence.tables(snapshot)
    names = ", ".join(r.qualified for r in fenced)
    statements = [
        "BEGIN;",
        *([f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE;"] if fenced else []),
        _unchanged(snapshot),
        *fence.raise_(
            fenced,
            f"{len(snapshot.tviews)} TVIEWs were detached {snapshot.taken_at} by pgtv {__version__}; "
            f"writes wait for: pgtv upgrade attach --from {file}",
        ),
        f"DROP EXTENSION {EXTENSION} CASCADE;",
        "COMMIT;",
    ]
    step = Step(
        phase="installation",
        title=f"Fence {len(fenced)} tables and take {EXTENSION} away",
        statements=tuple(statements),
        role="superuser",
        locks=(f"ACCESS EXCLUSIVE on {names}",) if fenced else (),
        note="No row is written: tv_ tables stay as they are, with indexes, grants, policies and "
        f"comments. Lost for good are the extension's counters and its audit log{_audit(snapshot)}.",
        tviews=tuple(t.label for t in snapshot.tviews),
    )
    return plan_for(snapshot, (step,), asked=("detach", file))


def _audit(snapshot: Snapshot) -> str:
    pages = snapshot.growth.audit_log_pages if snapshot.growth else None
    return " (it has rows: save them first)" if pages else ""


def _unchanged(snapshot: Snapshot) -> str:
    """Fails when a TVIEW came, went or changed between the snapshot and the locks."""
    dialect = dialects.named(snapshot.extension.generation)
    meta = dialect.qualified_meta(snapshot.extension.schema or dialect.schema or "public")
    seen = "".join(
        f"{t.entity}\n{t.definition}\n"
        for t in sorted(snapshot.tviews, key=lambda t: t.entity.encode())
    )
    digest = hashlib.md5(seen.encode(), usedforsecurity=False).hexdigest()
    return (
        "DO $same$ BEGIN\n"
        "  IF (SELECT pg_catalog.md5(pg_catalog.convert_to(COALESCE(pg_catalog.string_agg(\n"
        "        m.entity || E'\\n' || m.definition || E'\\n', '' ORDER BY m.entity COLLATE \"C\"), ''),\n"
        f"        'UTF8')) FROM {meta} m) <> {literal(digest)}\n"
        "  THEN RAISE EXCEPTION 'TVIEWs have changed since the snapshot was taken'\n"
        "    USING HINT = 'Nothing was done: detach again, with a new snapshot.';\n"
        "  END IF;\nEND $same$;"
    )
