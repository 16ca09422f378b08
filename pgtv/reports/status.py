"""`pgtv status`: what one line says of each TVIEW, out of a snapshot and its examination.

Nothing is judged here: the state of a TVIEW is the worst finding that names or affects it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgtv.catalog.model import Gap, Relation, Snapshot, Tview, Verification
from pgtv.checks.declare import Context, Shared
from pgtv.checks.examine import Examination, State
from pgtv.checks.expected import expected_triggers, matches
from pgtv.errors import Exit
from pgtv.finding import Effect, Finding, Severity, exit_code, worst
from pgtv.reports.documents import StatusDocument, StatusLine

SCHEMA = "pgtv.status/1"
BLOCK = 8192  # bytes of a page; servers built with another size are not known to exist

# What a state means, worst first.
STATES = {
    "broken": "writes fail",
    "stale": "rows are wrong or will be",
    "unknown": "could not be looked at",
    "risk": "right now, but something threatens it",
    "ok": "nothing above info",
}
_STATE = {
    Effect.WRITES_FAIL: "broken",
    Effect.ROWS_WRONG: "stale",
    Effect.RISK: "risk",
    Effect.NONE: "risk",
}


@dataclass(frozen=True)
class Line:
    """One TVIEW. rows and bytes are the planner's estimate, None where there is none.

    triggers: how many of the expected ones are there; expected is None where the catalog does not
    tell. waits: sessions that wait for a lock on it or on what it reads.
    """

    tview: Tview
    state: str
    severity: Severity
    findings: tuple[Finding, ...]
    rows: int | None
    bytes: int | None
    verified_at: str | None
    verified_age: float | None
    differing: int | None
    triggers: int
    expected: int | None
    disabled: int
    waits: int
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """The lines, worst first, and findings that are about no single TVIEW but decide all the same."""

    examination: Examination
    lines: tuple[Line, ...]
    others: tuple[Finding, ...]

    @property
    def unseen(self) -> Gap | None:
        """Why the registrations could not be read, wholly or surely."""
        return self.examination.snapshot.gap("tviews")

    @property
    def exit(self) -> Exit:
        severities = [*(x.severity for x in self.lines), *_severities(self.others)]
        return exit_code(worst([*severities, *([Severity.UNKNOWN] if self.unseen else [])]))


def _severities(findings: Sequence[Finding]) -> list[Severity]:
    return [f.severity for f in findings]


def status(examination: Examination, chosen: Sequence[Tview]) -> Status:
    """The status of the TVIEWs `chosen` of the snapshot that was examined."""
    snapshot = examination.snapshot
    about, others = _attribute(examination)
    triggers = _triggers(examination)
    blind = _blind(examination)
    others += blind
    readers = _waiting(snapshot)
    lines = [
        _line(snapshot, t, about.get(t.entity, []), triggers[t.entity], readers, blind=bool(blind))
        for t in chosen
    ]
    rank = list(STATES).index
    ordered = sorted(lines, key=lambda x: (rank(x.state), x.tview.label))
    return Status(examination, tuple(ordered), tuple(others))


def _attribute(examination: Examination) -> tuple[dict[str, list[Finding]], list[Finding]]:
    """Findings by the entities that they are about or affect; and those about none, if grave."""
    entities: dict[str, list[str]] = {}
    for t in examination.snapshot.tviews:
        for name in {t.label, t.view_name, t.entity} - {None}:
            entities.setdefault(str(name), []).append(t.entity)
    about: dict[str, list[Finding]] = {}
    others = []
    for finding in examination.findings:
        reached = {e for n in (finding.object, *finding.affects) for e in entities.get(n, ())}
        for entity in reached:
            about.setdefault(entity, []).append(finding)
        grave = finding.effect in (Effect.WRITES_FAIL, Effect.ROWS_WRONG)
        if not reached and grave and finding.severity is not Severity.INFO:
            others.append(finding)
    return about, others


def _blind(examination: Examination) -> list[Finding]:
    """Why checks that tell right TVIEWs from wrong ones could not run: then none is known to be ok."""
    return [
        f
        for o in examination.outcomes
        if o.state is State.UNKNOWN and o.check.effect in (Effect.WRITES_FAIL, Effect.ROWS_WRONG)
        for f in o.findings
        if f.severity is Severity.UNKNOWN and f.object.startswith("(")
    ]


def _line(
    snapshot: Snapshot,
    tview: Tview,
    findings: list[Finding],
    triggers: tuple[int, int | None, int],
    waiting: dict[int, set[int | None]],
    *,
    blind: bool,
) -> Line:
    table = snapshot.by_oid.get(tview.table_oid)
    grave = [f for f in findings if f.severity is not Severity.INFO]
    states = ["unknown" if f.severity is Severity.UNKNOWN else _STATE[f.effect] for f in grave] + (
        ["unknown"] if blind else []
    )
    verified = next(
        (
            v
            for v in snapshot.verifications
            if v.table_name == tview.label or v.table_oid == tview.table_oid
        ),
        None,
    )
    relations = {tview.table_oid, *(r.relation for r in snapshot.reads_of.get(tview.view_oid, ()))}
    pids = {p for o in relations if o is not None for p in waiting.get(o, ())}
    return Line(
        tview=tview,
        state=min(states, key=list(STATES).index, default="ok"),
        severity=worst(_severities(grave) + ([Severity.UNKNOWN] if blind else [])),
        findings=tuple(findings),
        rows=int(table.reltuples) if table and table.reltuples >= 0 else None,
        bytes=_bytes(table),
        verified_at=verified.verified_at if verified else None,
        verified_age=verified.age_seconds if verified else None,
        differing=_still_differing(verified),
        triggers=triggers[0],
        expected=triggers[1],
        disabled=triggers[2],
        waits=len(pids),
        flags=tuple(_flags(tview, table)),
    )


def _still_differing(verified: Verification | None) -> int | None:
    if verified is None:
        return None
    return 0 if verified.brought_at is not None else verified.differing


def _bytes(table: Relation | None) -> int | None:
    if table is None:
        return None
    if table.bytes is not None:
        return table.bytes
    return table.relpages * BLOCK if table.reltuples >= 0 else None


def _flags(tview: Tview, table: Relation | None) -> list[str]:
    return [
        flag
        for flag, on in (
            ("no table", table is None),
            ("unlogged", table is not None and table.persistence == "u"),
            ("time-dependent", tview.time_dependent),
            ("needs reregister", tview.needs_reregister),
            ("uncascaded: warn", bool(tview.uncascaded) and tview.uncascaded_policy == "warn"),
        )
        if on
    ]


def _waiting(snapshot: Snapshot) -> dict[int, set[int | None]]:
    """Relation to the processes that wait for a lock on it."""
    found: dict[int, set[int | None]] = {}
    for lock in snapshot.locks:
        if not lock.granted and lock.relation is not None:
            found.setdefault(lock.relation, set()).add(lock.pid)
    return found


def _triggers(examination: Examination) -> dict[str, tuple[int, int | None, int]]:
    """Entity to triggers that are there, that are expected, and that are disabled."""
    snapshot = examination.snapshot
    disabled: dict[str, int] = {}
    counted: dict[str, int] = {}
    for t in snapshot.triggers:
        if t.entity is not None:
            counted[t.entity] = counted.get(t.entity, 0) + 1
            disabled[t.entity] = disabled.get(t.entity, 0) + (t.enabled == "D")
    there: dict[str, int] = {}
    wanted: dict[str, int] = {}
    if examination.outcomes:
        context = Context(snapshot, examination.outcomes[0].check, Shared(snapshot))
        for expected in expected_triggers(context):
            entity = expected.tview.entity
            present = snapshot.triggers_on.get(expected.relation.oid, [])
            found = sum(any(matches(t, s, entity) for t in present) for s in expected.shapes)
            there[entity] = there.get(entity, 0) + found
            wanted[entity] = wanted.get(entity, 0) + len(expected.shapes)
    return {
        t.entity: (
            there.get(t.entity, 0) if t.entity in wanted else counted.get(t.entity, 0),
            wanted.get(t.entity),
            disabled.get(t.entity, 0),
        )
        for t in snapshot.tviews
    }


def document(found: Status) -> StatusDocument:
    """The status as plain JSON types, schema pgtv.status/1."""
    snapshot = found.examination.snapshot
    return {
        "schema": SCHEMA,
        "status": {0: "healthy", 1: "warning", 2: "critical", 3: "unknown"}[int(found.exit)],
        "exit_code": int(found.exit),
        "taken_at": snapshot.taken_at,
        "database": snapshot.server.database,
        "host": snapshot.server.host,
        "port": snapshot.server.port,
        "unseen": found.unseen.reason if found.unseen else None,
        "tviews": [_line_document(x) for x in found.lines],
        "others": [f.id for f in found.others],
    }


def _line_document(line: Line) -> StatusLine:
    return {
        "name": line.tview.label,
        "entity": line.tview.entity,
        "state": line.state,
        "severity": line.severity.value,
        "rows_estimate": line.rows,
        "bytes_estimate": line.bytes,
        "verified_at": line.verified_at,
        "verified_age_seconds": line.verified_age,
        "differing": line.differing,
        "triggers": {
            "present": line.triggers, "expected": line.expected, "disabled": line.disabled,
        },
        "waits": line.waits,
        "flags": list(line.flags),
        "findings": [f.id for f in line.findings],
    }  # fmt: skip
