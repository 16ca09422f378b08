"""Runs checks over a snapshot: every one to its end, whatever happens to the others."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pgtv.catalog.model import Snapshot
from pgtv.checks.declare import Check, Context, NotApplicable, Shared
from pgtv.errors import Exit
from pgtv.finding import Effect, Finding, Severity, exit_code, worst


class State(StrEnum):
    """How a check ended. Unknown is not healthy; not applicable is no unknown."""

    OK = "ok"
    FOUND = "found"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Outcome:
    """One check's end: its findings, or why there could be none."""

    check: Check
    state: State
    findings: tuple[Finding, ...] = ()
    reason: str | None = None
    elapsed_ms: float = 0.0


@dataclass(frozen=True)
class Examination:
    """All outcomes of one run, with findings in the order in which they should be read."""

    snapshot: Snapshot
    outcomes: tuple[Outcome, ...]
    findings: tuple[Finding, ...]
    silenced: tuple[str, ...] = ()  # ids that a baseline accepted
    elapsed_ms: float = 0.0
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        return worst([f.severity for f in self.findings])

    @property
    def exit(self) -> Exit:
        return exit_code(self.severity)

    def consequences(self, finding: Finding) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.caused_by == finding.id)

    @property
    def causes(self) -> tuple[Finding, ...]:
        """Findings that nothing else explains, worst first."""
        return tuple(f for f in self.findings if f.caused_by is None)

    def count(self, severity: Severity) -> int:
        return sum(1 for f in self.findings if f.severity is severity)

    def state_count(self, state: State) -> int:
        return sum(1 for o in self.outcomes if o.state is state)


def examine(
    snapshot: Snapshot,
    checks: Iterable[Check],
    settings: Mapping[str, Mapping[str, float]] | None = None,
    baseline: frozenset[str] = frozenset(),
    given: Mapping[str, Sequence[Finding]] | None = None,
) -> Examination:
    """Run `checks`; `settings` maps check ids to thresholds, `baseline` holds ids to leave out.

    given: by check id, what was found by asking the server (--verify, --probe-write) instead of by
    the check's function.
    """
    started = time.monotonic()
    shared = Shared(snapshot)
    asked = given or {}
    outcomes = tuple(
        _given(check, tuple(asked[check.id]))
        if check.id in asked
        else _run(check, snapshot, shared, (settings or {}).get(check.id, {}))
        for check in checks
    )
    findings = [f for o in outcomes for f in o.findings]
    silenced = tuple(f.id for f in findings if f.id in baseline)
    kept = [f for f in findings if f.id not in baseline]
    ordered = sorted(
        _explain(kept, outcomes), key=lambda f: (-f.severity.rank, _EFFECT[f.effect], f.id)
    )
    return Examination(
        snapshot, outcomes, tuple(ordered), silenced,
        round((time.monotonic() - started) * 1000, 1),
    )  # fmt: skip


_EFFECT = {Effect.WRITES_FAIL: 0, Effect.ROWS_WRONG: 1, Effect.RISK: 2, Effect.NONE: 3}


def _run(
    check: Check, snapshot: Snapshot, shared: Shared, settings: Mapping[str, float]
) -> Outcome:
    started = time.monotonic()

    def ended(
        state: State, findings: tuple[Finding, ...] = (), reason: str | None = None
    ) -> Outcome:
        took = round((time.monotonic() - started) * 1000, 2)
        return Outcome(check, state, findings, reason, took)

    blind = snapshot.gap("extension")
    if blind and check.extension:
        # one finding tells it: the checks that also run without the extension need to know as well
        return ended(State.UNKNOWN, reason=f"could not see the extension: {blind.reason}")
    inapplicable = _inapplicable(check, snapshot)
    if inapplicable:
        return ended(State.NOT_APPLICABLE, reason=inapplicable)
    context = Context(snapshot, check, shared, settings)
    for section in check.needs:
        gap = snapshot.gap(section)
        if gap and gap.object is None:
            unknown = context.finding(
                "(check)",
                f"could not look: {gap.reason}",
                severity=Severity.UNKNOWN,
                effect=Effect.NONE,
                needs=gap.needs,
            )
            return ended(State.UNKNOWN, (unknown,), gap.reason)
    try:
        findings = tuple(check.run(context))
    except NotApplicable as e:
        return ended(State.NOT_APPLICABLE, reason=str(e))
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)[-1]
        reason = f"the check itself failed: {type(e).__name__}: {e} ({where.name}:{where.lineno})"
        unknown = context.finding(
            "(check)", reason, key="crashed", severity=Severity.UNKNOWN, effect=Effect.NONE
        )
        return ended(State.UNKNOWN, (unknown,), reason)
    if any(f.severity is Severity.UNKNOWN for f in findings):
        return ended(State.UNKNOWN, findings, "see its findings")
    return ended(State.FOUND if findings else State.OK, findings)


def _given(check: Check, findings: tuple[Finding, ...]) -> Outcome:
    if any(f.severity is Severity.UNKNOWN for f in findings):
        return Outcome(check, State.UNKNOWN, findings, "see its findings")
    return Outcome(check, State.FOUND if findings else State.OK, findings)


def _inapplicable(check: Check, snapshot: Snapshot) -> str | None:
    """Why the check says nothing about this server, or None."""
    if check.option:
        return f"runs with {check.option} only"
    if check.where == "primary" and snapshot.server.in_recovery:
        return "this server is a standby"
    if check.where == "standby" and not snapshot.server.in_recovery:
        return "this server is no standby"
    if check.extension and not snapshot.extension.installed:
        return "the extension is not installed"
    if check.generations and snapshot.extension.generation not in check.generations:
        return f"not for the catalog generation {snapshot.extension.generation}"
    return None


def _explain(findings: list[Finding], outcomes: tuple[Outcome, ...]) -> list[Finding]:
    """Set `caused_by`: a finding whose check names another as its cause, on what that one reaches.

    A check that knows the very finding says so itself; that holds while that finding is there.
    """
    known = {f.id for f in findings}
    findings = [
        f if f.caused_by is None or f.caused_by in known else replace(f, caused_by=None)
        for f in findings
    ]
    causes_of = {o.check.id: o.check.consequence_of for o in outcomes}
    by_check: dict[str, list[Finding]] = {}
    for finding in findings:
        by_check.setdefault(finding.check, []).append(finding)
    explained = []
    for finding in findings:
        cause = next(
            (
                other.id
                for check_id in causes_of.get(finding.check, ())
                for other in by_check.get(check_id, ())
                if other.id != finding.id
                and other.severity is not Severity.UNKNOWN
                # nothing grave is hidden under something mild
                and other.severity.rank >= finding.severity.rank
                and _reaches(other, finding)
            ),
            None,
        )
        explained.append(replace(finding, caused_by=cause) if cause else finding)
    return _flatten(explained)


def _reaches(cause: Finding, effect: Finding) -> bool:
    reached = {cause.object, *cause.affects}
    if cause.object.startswith("("):  # the whole database or server
        return True
    return effect.object in reached or bool(reached & set(effect.affects))


def _flatten(findings: list[Finding]) -> list[Finding]:
    """A consequence of a consequence is shown under the first cause; rings are cut."""
    by_id = {f.id: f for f in findings}
    flat = []
    for finding in findings:
        seen, cause = {finding.id}, finding.caused_by
        while cause and cause in by_id and by_id[cause].caused_by and cause not in seen:
            seen.add(cause)
            cause = by_id[cause].caused_by
        if cause in seen:
            cause = None
        flat.append(replace(finding, caused_by=cause))
    return flat
