"""Runs one fault from injection to cure, and says what was seen."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import PATIENT, ROUNDS, WRITES, Bench, Healthy, above_info
from bench import bench as make_bench
from declare import Does, Fault
from standing import SETUP, standing

from pgtv.catalog import codec
from pgtv.cluster.server import Server
from pgtv.finding import Effect, Finding, Severity

RESTORABLE = (6, 10, 12)  # modes in which a registration can be lost
WAITED = "55P03"  # lock_timeout: nobody refused the write, somebody else had to end first


@dataclass
class Result:
    """One row of the matrix.

    does: what was seen of Does. writes: SQLSTATEs of refused writes. drift: TVIEWs that differ.
    health: what the extension's health check said: `seen`, `silent` or `error`.
    pgtv: `before` any write, `after` the writes, with `verify`, `unknown` or `missed`.
    checks: ids of the findings' checks. effects: check -> the worst effect that it names.
    cured: `yes`, `no`, `by hand` where nothing is printed, `-` where nothing was found, or `snapshot`:
    by pgtv repair metadata and a snapshot of before.
    why: what was still wrong after the printed cure. unprinted: locks that a cure takes and does not
    print. alarm: findings on the healthy setup. lost: what stood on TVIEWs before, outlived the fault, and
    not the cure.
    """

    id: str
    major: int
    does: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    drift: dict[str, str] = field(default_factory=dict)
    health: str = ""
    pgtv: str = "missed"
    checks: list[str] = field(default_factory=list)
    effects: dict[str, str] = field(default_factory=dict)
    cured: str = "-"
    why: str = ""
    pasted: list[str] = field(default_factory=list)
    alarm: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    unprinted: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(shared: Server, fault: Fault, *, cure: bool = True) -> Result:
    """Inject `fault` and measure; `cure=False` stops once it is known who sees it."""
    result = Result(fault.id, shared.major)
    with make_bench(shared, fault) as b:
        if fault.setup:
            b.sql(f"SET ROLE shop_owner; {fault.setup}")
        healthy = b.registered()
        result.alarm = sorted(f.id for f in above_info(b.doctor(fault.aged)))
        b.sql(SETUP)
        if b.standby:
            b.replayed()
        was = {f.id for f in above_info(b.doctor(fault.aged))}
        assert not b.drift(healthy), "the healthy setup differs from its definitions"
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
        health = b.health()
        result.health = "error" if health is None else "seen" if health else "silent"
        found = _relevant(b, fault, was)
        drifted = b.drift(healthy)
        if found:
            result.pgtv = "before"
        elif drifted:
            found = _verified(b, fault)
            result.pgtv = "verify" if found else "missed"
        refused = b.write((*fault.writes, *WRITES), fault.writer)
        result.writes = sorted({code for _, code, _ in refused})
        result.messages = sorted({f"{code} {message}" for _, code, message in refused})[:3]
        result.drift = drifted | b.drift(healthy)
        result.does = [
            *([Does.WRITES_FAIL.value] if set(result.writes) - {WAITED} else []),
            *([Does.WRITES_WAIT.value] if WAITED in result.writes else []),
            *([Does.ROWS_WRONG.value] if result.drift else []),
        ] or [Does.RISK.value]
        if result.health == "silent" and b.health():
            result.health = "after a write"
        if not found:
            found = _relevant(b, fault, was)
            if found:
                result.pgtv = "after"
        if not found and result.drift:
            found = _verified(b, fault)
            if found:
                result.pgtv = "verify"
        result.checks = sorted({f.check for f in found})
        result.effects = {
            check: min((f.effect for f in found if f.check == check), key=list(Effect).index).value
            for check in result.checks
        }
        result.said = [f"{f.severity} {f.id}" for f in found]
        if found and all(f.severity is Severity.UNKNOWN for f in found):
            result.pgtv = "unknown"
        if found and cure:
            _cure(b, fault, healthy, was, result)
            result.lost = sorted(stood - (standing(b) or set()))
            if result.lost and result.cured == "yes":
                result.cured, result.why = "no", f"it took away: {'; '.join(result.lost)}"
        if result.cured in ("no", "by hand") and fault.mode in RESTORABLE:
            _from_snapshot(b, fault, healthy, was, result, before)
        before.unlink(missing_ok=True)
    return result


def with_new(b: Bench, healthy: tuple[Healthy, ...]) -> tuple[Healthy, ...]:
    """`healthy`, and the TVIEWs that the injection made itself."""
    known = {h.entity for h in healthy} | {h.table_oid for h in healthy}
    new = (h for h in _registered(b) if h.entity not in known and h.table_oid not in known)
    return (*healthy, *(h for h in new if h.entity != "ghost"))


def _names(finding: Finding, fault: Fault) -> bool:
    """Whether the finding is about what the fault damaged, and not about anything."""
    return finding.severity is not Severity.INFO and (
        "*" in fault.damages or bool({finding.object, *finding.affects} & set(fault.damages))
    )


def _relevant(b: Bench, fault: Fault, was: set[str]) -> list[Finding]:
    return [f for f in above_info(b.doctor(fault.aged)) if f.id not in was and _names(f, fault)]


def _verified(b: Bench, fault: Fault | None = None) -> list[Finding]:
    """Findings of doctor --verify about contents, of what `fault` damaged."""
    from verifying import verified

    return [f for f in verified(b) if fault is None or _names(f, fault)]


def _cure(
    b: Bench, fault: Fault, healthy: tuple[Healthy, ...], was: set[str], result: Result
) -> None:
    """Paste what doctor prints until it is quiet, at most ROUNDS times; then everything must work."""
    result.cured = "no"
    errors: list[str] = []
    for _ in range(ROUNDS):
        examination = b.doctor(fault.aged)
        open_findings = [f for f in above_info(examination) if f.id not in was]
        if not open_findings:
            open_findings = _verified(b)
        todo = [f for f in open_findings if f.remedy and f.remedy.sql]
        todo = [f for f in todo if f.caused_by is None] or todo
        if not todo:
            break
        errors = []
        for finding in todo:
            assert finding.remedy
            statements = finding.remedy.sql
            result.unprinted += b.unprinted(finding)
            result.pasted.append(f"{finding.id}: {' '.join(statements)}")
            errors += b.paste(statements)
    result.why = wrong(b, fault, healthy, was)
    if not result.why:
        result.cured = "yes"
    if result.cured == "no" and not result.pasted:
        result.cured = "by hand"
    if result.cured == "no" and errors:
        result.why += " · psql said: " + re.sub(r"psql:<stdin>:\d+: ", "", errors[0])


def wrong(b: Bench, fault: Fault, healthy: tuple[Healthy, ...], was: set[str]) -> str:
    """What is not right after a cure; empty when all is."""
    left = [f for f in above_info(b.doctor(fault.aged)) if f.id not in was]
    registered = {r.entity for r in _registered(b)}
    lost = [h.table for h in healthy if h.entity not in registered]
    drift = b.drift(healthy)
    if left:
        return "doctor still says " + ", ".join(f.id for f in left[:3])
    if lost:
        return "no longer registered: " + ", ".join(lost)
    if drift:
        return "rows still differ: " + ", ".join(f"{k} ({v})" for k, v in drift.items())
    b.lock_timeout = PATIENT  # whoever held locks is gone, or just going
    if fault.again:  # one that cannot be repeated is refused, and that is fine
        b.write(fault.writes, fault.writer)
    refused = b.write(WRITES, fault.writer)
    drift = b.drift(healthy)
    if refused:
        return f"writes still fail: {refused[0][1]} {refused[0][2]}"
    return "new writes do not arrive: " + ", ".join(drift) if drift else ""


def _from_snapshot(
    b: Bench,
    fault: Fault,
    healthy: tuple[Healthy, ...],
    was: set[str],
    result: Result,
    before: Path,
) -> None:
    """What no printed statement cures: `pgtv repair metadata`, with a snapshot of before.

    Where the snapshot and what stands disagree, somebody has to decide: here for the snapshot.
    """
    for option in ("--from", "--definition"):
        code, said = b.pgtv(
            "repair", "metadata", option, str(before), "--apply", "--lock-timeout", "2s"
        )
        why = wrong(b, fault, healthy, was)
        if not why:
            result.cured, result.why = "snapshot", ""
            return
        last = said.strip().splitlines()[-1:]
        result.why = why + (f" · pgtv said: {last[0]}" if last and code == 3 else "")


def _registered(b: Bench) -> tuple[Healthy, ...]:
    try:
        return b.registered()
    except Exception:
        return ()
