"""From findings to a plan: the very statements that doctor prints, ordered and without repetitions.

Refreshes are taken out of the findings' remedies and put once at the end, for the rows are right only
after registrations and triggers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import Dialect
from pgtv.checks.bringing import statements as bringing
from pgtv.checks.examine import Examination
from pgtv.checks.registry import all_checks
from pgtv.checks.resolving import ended_by
from pgtv.finding import Finding, Severity
from pgtv.graph.edges import Edges, edges
from pgtv.plan import PHASES, Left, Plan, Step, plan_for
from pgtv.repairs.remembering import remember, settle

_PHASE_OF = {"installation": "installation", "metadata": "registration", "triggers": "triggers"}
_GUARD = "SET lock_timeout"


def build(
    examination: Examination,
    phases: frozenset[str] = frozenset(),
    named: tuple[str, ...] = (),
    *,
    rebuild: bool = False,
) -> Plan:
    """A plan for the findings above info.

    phases: only these of plan.PHASES; empty for all. named: ids of findings, or names of TVIEWs
    that a finding must touch; empty for all. A remedy that a person has to decide about is planned
    only when its finding is named by id. rebuild: rows are brought by the extension's own refresh,
    which keeps readers waiting, instead of a merge.
    """
    snapshot = examination.snapshot
    dialect = dialects.named(snapshot.extension.generation)
    graph = edges(snapshot)
    # of TVIEWs, and of those that a cure registers first
    tables = {r.qualified: r.oid for r in snapshot.relations if r.kind == "r"}
    labels = bringing(snapshot, dialect)
    steps: list[Step] = []
    left: list[Left] = []
    refreshed: dict[str, set[str]] = {}
    for finding in _chosen(examination, named):
        phase = _phase(finding)
        # rows that a registration made anew is owed belong to it, also where a run died in between
        owed = finding.check == "rows-owed" and "registration" in phases
        if phases and phase not in phases and not ((phase != "rows" and "rows" in phases) or owed):
            continue
        why = _why_not(finding, dialect, named)
        if why:
            left.append(Left(finding.id, why))
            continue
        statements, refreshes = _split(finding, labels)
        for table in refreshes:
            refreshed.setdefault(table, set()).add(finding.id)
        if statements and (not phases or phase in phases):
            steps.append(_step(finding, phase, statements, whole=not refreshes))
    steps.sort(key=_order)
    rows = list(_row_steps(refreshed, dialect, graph, tables, rebuild=rebuild))
    if dialect.acts:
        roots = [s.tviews[0] for s in rows]
        rows = [settle(snapshot, dialect, s, s.tviews[:1]) for s in rows]
        steps = remember(snapshot, dialect, _without(steps, rows), roots)
    # a registration is not right before its rows are
    if not phases or phases & {"rows", "registration"}:
        steps += rows
    return plan_for(
        snapshot,
        _merged(sorted(steps, key=_order)),
        left=left,
        asked=tuple(sorted(phases)) + named,
    )


def _order(step: Step) -> tuple[int, bool, bool]:
    """By phase; in each, what makes room first: a trigger in the way may have the name of a missing one."""
    drops = any(s.startswith("DROP ") for s in step.statements)
    return PHASES.index(step.phase), step.merge, not drops


def _without(steps: Iterable[Step], rows: Iterable[Step]) -> list[Step]:
    """Without the statements that follow the rows, where a finding has them too."""
    later = {x for row in rows for x in row.statements}
    kept = (replace(s, statements=tuple(x for x in s.statements if x not in later)) for s in steps)
    return [s for s in kept if s.statements]


def _chosen(examination: Examination, named: tuple[str, ...]) -> Iterator[Finding]:
    """Causes only, unless a consequence is named: it mostly goes with its cause."""
    for finding in examination.findings:
        touches = {finding.id, finding.object, *finding.affects}
        if named and not touches & set(named):
            continue
        if finding.severity is Severity.INFO and finding.id not in named:
            continue
        if finding.caused_by is None or finding.id in named:
            yield finding


def _phase(finding: Finding) -> str:
    check = all_checks().get(finding.check)
    if check is None:
        return "other"
    return "rows" if check.group == "contents" else _PHASE_OF.get(check.group, "other")


def _why_not(finding: Finding, dialect: Dialect, named: tuple[str, ...]) -> str | None:
    if finding.severity is Severity.UNKNOWN:
        return "unknown: it could not be looked at"
    if finding.remedy is None or not finding.remedy.sql:
        note = finding.remedy.note if finding.remedy else None
        return note or "nothing here cures it; see its page"
    if not dialect.acts:
        return f"pgtv only looks at catalogs of the generation {dialect.name}"
    if command := ended_by(finding):
        return f"{finding.remedy.decide or ''} To do it, with a record kept: {command}".strip()
    if any(s.startswith("\\") for s in finding.remedy.sql):
        return "it has to be done in another database: run pgtv there, or paste what doctor prints"
    if finding.remedy.decide and finding.id not in named:
        return f"{finding.remedy.decide} To do it: pgtv repair '{finding.id}'"
    return None


def _split(finding: Finding, labels: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(statements without refreshes and guards, tables to refresh). labels: of what refreshes which."""
    assert finding.remedy
    statements = tuple(
        s for s in finding.remedy.sql if s not in labels and not s.startswith(_GUARD)
    )
    wanted = (*finding.remedy.sql, finding.remedy.command or "")
    return statements, tuple(labels[s] for s in wanted if s in labels)


def _step(finding: Finding, phase: str, statements: tuple[str, ...], *, whole: bool) -> Step:
    """A step of a remedy; `whole`: no refresh was taken out of it, so its note still holds."""
    remedy = finding.remedy
    assert remedy
    return Step(
        phase=phase,
        title=finding.title,
        statements=statements,
        cures=(finding.id,),
        role=remedy.role,
        locks=tuple(
            x for x in remedy.locks if not x.endswith(("(the refresh)", "(the comparison)"))
        ),
        undo=_back(remedy.undo),
        note=remedy.note if whole else None,
        tviews=finding.affects,
    )


def _back(undo: str | None) -> tuple[str, ...] | None:
    """The statements of an undo, in one transaction where they may be; None for words, which are for
    people."""
    from pgtv.lint.source import split

    if not undo or not undo.rstrip().endswith(";"):
        return None
    found = tuple(
        f"{undo[start:end].strip()};" for start, end, _ in split(undo) if undo[start:end].strip()
    )
    alone = len(found) == 1 or any(s.startswith("ALTER SYSTEM") for s in found)
    return found if alone else ("BEGIN;", *found, "COMMIT;")


def _row_steps(
    refreshed: dict[str, set[str]],
    dialect: Dialect,
    graph: Edges,
    tables: dict[str, int],
    *,
    rebuild: bool,
) -> Iterator[Step]:
    """One step for each TVIEW that no other step reaches, upstream first; dependents with it."""
    known = {t.label for t in graph.tviews.values()}
    wanted = [t for t in graph.tviews.values() if t.label in refreshed]
    chains = [
        # not registered yet: the graph does not hold it as a TVIEW, but knows who reads its table
        (label, (label, *(t.label for t in graph.affected([tables[label]]) if t.label != label)))
        for label in refreshed
        if label not in known
    ]
    chains += [
        (tview.label, tuple(t.label for t in below)) for tview, below in graph.covering(wanted)
    ]
    for label, reached in chains:
        cures = {f for r in reached for f in refreshed.get(r, ())}
        yield Step(
            phase="rows",
            title=f"Bring the rows of {label} up to date",
            statements=(dialect.refresh(label),) if rebuild else (),
            cures=tuple(sorted(cures)),
            role=f"owner of {label}, or a superuser",
            locks=tuple(f"{'ACCESS' if rebuild else 'ROW'} EXCLUSIVE on {r}" for r in reached),
            undo=None,
            note="Blocks readers and writers of these TVIEWs until it ends." if rebuild else None,
            tviews=reached,
            merge=not rebuild,
        )


def _merged(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps with the same statements are one: several findings, one cure."""
    seen: dict[tuple[str, ...], int] = {}
    merged: list[Step] = []
    for step in steps:
        if step.statements and not step.merge and step.statements in seen:
            i = seen[step.statements]
            merged[i] = replace(
                merged[i],
                cures=tuple(dict.fromkeys((*merged[i].cures, *step.cures))),
                locks=tuple(dict.fromkeys((*merged[i].locks, *step.locks))),
                tviews=tuple(dict.fromkeys((*merged[i].tviews, *step.tviews))),
            )
        else:
            seen[step.statements] = len(merged)
            merged.append(step)
    yield from merged
