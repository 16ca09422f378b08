"""What a rehearsed restore found, as points and sentences: pure functions of what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pgtv.catalog.diff import Change, Difference
from pgtv.catalog.model import Snapshot
from pgtv.checks.resolving import age
from pgtv.finding import Finding, Severity
from pgtv.lifecycle.restore.certificate import Cure, Objective, Proof
from pgtv.lifecycle.upgrade import same
from pgtv.lifecycle.verdict import Point
from pgtv.rows.result import State

_REPAIR = "pgtv repair   # shows the whole cure, in order"
_LOUD = (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN)
# doctor's groups that tell of the server and of what goes on there: the throwaway's own
SERVER_GROUPS = frozenset({"activity"})


@dataclass
class Seen:
    """All that the phases gathered. wanted: labels of the TVIEWs that the source had, None where
    neither a snapshot nor the backup tells; lost: of these, the ones that are not registered.
    missing: the same, as restored. invented: roles that were made up, because nothing held them.
    stopped: a step could not be done; reached_end: all were. emptied: base tables that had rows."""

    wanted: tuple[str, ...] | None = None
    missing: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    cures: list[Cure] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    checks: int = 0
    writes: dict[str, str] = field(default_factory=dict)
    write_findings: tuple[Finding, ...] = ()
    difference: Difference | None = None
    source: Snapshot | None = None
    invented: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    points: list[Point] = field(default_factory=list)
    files_checked: bool = False
    stopped: bool = False
    reached_end: bool = False


def points(seen: Seen, rto: Objective, rpo: Objective) -> tuple[Point, ...]:
    """Everything to know, worst first."""
    found = [
        *seen.points,
        *_registrations(seen),
        *_rows(seen),
        *_writes(seen),
        *_findings(seen),
        *_source(seen),
        *_targets(rto, rpo),
    ]
    return tuple(sorted(found, key=lambda p: -p.severity.rank))


def _registrations(seen: Seen) -> Iterator[Point]:
    commands = tuple(c.command for c in seen.cures if c.of == "registrations")
    if seen.lost:
        yield Point(
            "registrations-missing",
            Severity.CRITICAL,
            "These TVIEWs are not registered in what was restored: writes no longer reach them."
            + ("" if seen.source else " A snapshot of the source brings them back: --before."),
            seen.lost,
            commands or ("pgtv upgrade attach --from SNAPSHOT --apply",),
        )
    elif seen.missing:
        yield Point(
            "registrations-cured",
            Severity.WARNING,
            "As restored, these TVIEWs were not registered; the commands below brought them back.",
            seen.missing,
            commands,
        )
    if seen.reached_end and seen.wanted is None and not seen.proofs:
        yield Point(
            "no-tviews",
            Severity.UNKNOWN,
            "No TVIEW is registered in what was restored, and nothing tells whether there were any.",
            cure=("give --before SNAPSHOT of the source",),
        )


def _rows(seen: Seen) -> Iterator[Point]:
    if seen.emptied:
        yield Point(
            "base-rows-missing",
            Severity.CRITICAL,
            "These tables had rows in the source, by its statistics, and are empty: their rows are the "
            "truth, and nothing brings them back.",
            seen.emptied,
        )
    if seen.proofs and not any(p.rows for p in seen.proofs):
        yield Point(
            "all-empty",
            Severity.UNKNOWN,
            "Every TVIEW is empty: that they equal their definitions says nothing.",
        )
    by_state: dict[str, list[Proof]] = {}
    for proof in seen.proofs:
        by_state.setdefault(proof.state, []).append(proof)
    if wrong := by_state.get(State.DIFFERS):
        yield Point(
            "rows-differ",
            Severity.CRITICAL,
            "Rows of these TVIEWs differ from their definitions.",
            tuple(p.tview for p in wrong),
            ("pgtv refresh --apply",),
        )
    if unknown := [*by_state.get(State.UNKNOWN, ()), *by_state.get(State.SKIPPED, ())]:
        reasons = dict.fromkeys(f"{p.tview}: {p.reason}" for p in unknown)
        yield Point(
            "rows-unknown",
            Severity.UNKNOWN,
            f"Rows could not be compared: {'; '.join(list(reasons)[:5])}.",
            tuple(p.tview for p in unknown),
        )
    if cured := [p for p in seen.proofs if p.differed and p.state == State.EQUAL]:
        yield Point(
            "rows-cured",
            Severity.WARNING,
            f"As restored, {sum(p.differed for p in cured):,} rows of these TVIEWs were missing or "
            "wrong; they were written again.",
            tuple(p.tview for p in cured),
            tuple(c.command for c in seen.cures if c.of == "rows"),
        )


def _writes(seen: Seen) -> Iterator[Point]:
    for one in seen.write_findings:
        yield Point(
            "writes-fail" if one.severity is Severity.CRITICAL else "writes-unknown",
            one.severity, one.detail, (one.object,),
        )  # fmt: skip


def _findings(seen: Seen) -> Iterator[Point]:
    found: dict[tuple[str, Severity], list[Finding]] = {}
    for one in seen.findings:
        if one.severity in _LOUD and one.caused_by is None:
            found.setdefault((one.check, one.severity), []).append(one)
    for (check, severity), alike in found.items():
        first = alike[0]
        more = f" {len(alike) - 1} more like it." if len(alike) > 1 else ""
        alone = first.remedy.sql if first.remedy else ()
        yield Point(
            check, severity, f"{first.title}: {first.detail}{more}",
            tuple(f.object for f in alike), alone if len(alike) == 1 else (_REPAIR,),
        )  # fmt: skip


def _source(seen: Seen) -> Iterator[Point]:
    found = seen.difference
    if found is None:
        return
    lost = [c for c in found.changes if c.kind in same.LOST and same.lost(Difference((c,)))]
    for severity, id_, text, changes in (
        (Severity.CRITICAL, "source-lost", "The source had these, and what was restored has not.", lost),
        (
            Severity.WARNING, "source-differs", "Other than in the source's snapshot.",
            [c for c in found.changes if c not in lost],
        ),
    ):  # fmt: skip
        if changes:
            yield Point(id_, severity, text, tuple(dict.fromkeys(change_text(c) for c in changes)))
    if found.not_compared:
        why = "; ".join(
            f"{g.section} was not seen {side}: {g.reason}" for side, g in found.not_compared
        )
        yield Point(
            "source-unseen", Severity.UNKNOWN, f"Could not be compared with the source: {why}."
        )


def change_text(change: Change) -> str:
    """One difference in a line."""
    if change.field is None:
        return f"{change.change} {change.kind} {change.object}"
    return f"{change.kind} {change.object}: {change.field}"


def _targets(rto: Objective, rpo: Objective) -> Iterator[Point]:
    if rto.met is False:
        yield Point(
            "rto-missed", Severity.WARNING,
            f"Until everything was proven it took {age(rto.measured or 0)}, the target is"
            f" {age(rto.target)}.",
        )  # fmt: skip
    if rpo.met is False:
        yield Point(
            "rpo-missed", Severity.WARNING,
            f"The rows are {age(rpo.measured or 0)} old, the target is {age(rpo.target)}: so much"
            " would be lost if this were the newest backup and the source died now.",
        )  # fmt: skip
    elif rpo.met is None:
        yield Point(
            "rpo-unknown", Severity.UNKNOWN, f"How old the rows are is not known: {rpo.said}."
        )


def proven(seen: Seen) -> Iterator[str]:
    """What was proven, a sentence each."""
    if seen.files_checked:
        yield "Its files are as they were written: every checksum of its manifest is right."
    equal = [p for p in seen.proofs if p.state == State.EQUAL]
    if rows := sum(p.rows or 0 for p in equal):
        yield (
            f"{rows:,} rows of {len(equal)} of {len(seen.proofs)} TVIEWs equal their definitions, each "
            "compared."
        )
    if seen.wanted is not None and not seen.lost and seen.reached_end:
        yield f"Every TVIEW that the source had is registered: {len(seen.wanted)}."
    works = [t for t, said in seen.writes.items() if said.startswith("a write works")]
    if works:
        yield (
            f"A write to {len(works)} of {len(seen.writes)} base tables works, its TVIEWs following; "
            "rolled back."
        )
    if seen.checks and not [f for f in seen.findings if f.severity in _LOUD]:
        yield f"doctor finds nothing wrong: {seen.checks} checks."
    if seen.difference is not None and seen.difference.same:
        yield (
            "TVIEWs, their options, triggers, indexes, owners and grants are as in the source's "
            "snapshot."
        )


def not_proven(seen: Seen, *, dump: bool, own_settings: bool) -> Iterator[str]:
    """What nobody should take from this certificate."""
    yield "Rows of base tables: they are the truth, and nothing was there to hold them against."
    if seen.wanted is None:
        yield "Whether the source had more TVIEWs: no snapshot of it was given (--before)."
    elif seen.difference is None:
        yield "Owners, grants and options: no snapshot of the source was given (--before)."
    if not seen.files_checked and not dump:
        yield "Whether its files are as they were written."
    if seen.invented:
        yield (
            f"Roles ({listed(seen.invented)}): no part of a dump, they were made up here, without login "
            "(--roles takes what pg_dumpall --roles-only wrote)."
        )
    elif dump:
        yield "Passwords and memberships of roles: they are no part of a dump."
    if own_settings:
        yield "The source's configuration: the server ran with one of its own, and reached nobody."
    empty = [t for t, said in seen.writes.items() if not said.startswith("a write works")]
    if empty:
        yield f"Writes to {listed(empty)}: {'; '.join(dict.fromkeys(seen.writes[t] for t in empty))}."
    yield "How fast another machine is; and whatever is not in this one database."


def listed(names: Sequence[str] | Iterable[str], limit: int = 5) -> str:
    """Some names, and how many more."""
    all_ = list(names)
    more = len(all_) - limit
    return ", ".join(all_[:limit]) + (f" and {more} more" if more > 0 else "")
