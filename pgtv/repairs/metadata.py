"""`repair metadata` with sources: what the database lost comes from files, the rest is as doctor says.

A TVIEW is touched when it is not registered, when doctor finds its registration wrong, or when a
person has decided what it is. One that is well is left alone, however old the file says it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import Examination
from pgtv.checks.registry import all_checks
from pgtv.errors import UsageError
from pgtv.finding import Finding, Severity
from pgtv.graph.edges import edges
from pgtv.plan import PHASES, Left, Plan, Step, costed
from pgtv.repairs import from_findings
from pgtv.repairs.installing import installation
from pgtv.repairs.registered import Registration, Source
from pgtv.repairs.registration import intact, restore, trust
from pgtv.repairs.remembering import narrowed, remember, settle
from pgtv.repairs.sources import decide, disagreement

# Their printed cures would undo what is restored, or are part of restoring it.
REPLACED = ("extension-missing", "trigger-orphaned")
# Checks of other groups that tell of a registration.
MORE = ("reads-disagree",)


@dataclass(frozen=True)
class Given:
    """What the command line gave: sources, decisions among them, and TVIEWs by name.

    absent: what they need and the database does not have, as sources.absent tells.
    """

    sources: Sequence[Source]
    decisions: Sequence[Source] = ()
    named: tuple[str, ...] = ()
    absent: frozenset[tuple[str, str]] = frozenset()


def build(
    examination: Examination,
    given: Given,
    phases: frozenset[str],
    cured: frozenset[str] = frozenset(),
) -> Plan:
    """A plan that restores from `given` what is lost or wrong, and cures the rest by findings.

    cured: ids of findings that may be named though they are gone. Raises UsageError for a TVIEW that
    is named and that no source holds.
    """
    now = examination.snapshot
    held, decided, refused = _held(given)
    chosen = _chosen(now, examination, held, decided, given.named, refused, cured)
    restored = restore(now, chosen, decided, given.absent)
    refused |= restored.refused
    mine = [r for r in chosen if r.entity in restored.entities]
    about = {r.entity: _about(now, examination, r) for r in mine}
    asked = {f for e in refused if e in held for f in _about(now, examination, held[e])}
    others = _without(
        from_findings.build(examination, phases, _names(now, held, given.named)),
        asked.union(*about.values()),
        bool(restored.steps),
    )
    left = (*(Left(f"tv_{e}", why) for e, why in sorted(refused.items())), *others.left)
    if not restored.steps:
        return replace(others, left=left)
    then = next((s.snapshot for s in (*given.decisions, *given.sources) if s.snapshot), None)
    labels = {r.label(now): r.entity for r in mine}
    first = [s for s in others.steps if any(c.startswith("plan-unreadable:") for c in s.cures)]
    steps = [
        *installation(now, then),
        *first,
        *(
            replace(s, cures=about[labels[s.tviews[0]]]) if s.tviews[0] in labels else s
            for s in restored.steps
        ),
        *(s for s in others.steps if s not in first),
    ]
    steps.sort(key=lambda s: PHASES.index(s.phase))
    done = sorted({f for found in about.values() for f in found})
    dialect = dialects.named(now.extension.generation)
    rows = _rows(now, restored.tables, tuple(done))
    comments = {r.label(now): r.comment for r in mine}
    steps = remember(now, dialect, steps, restored.tables, comments)
    steps += [settle(now, dialect, rows, restored.tables, comments), *trust(now, mine)]
    return replace(others, steps=costed(now, steps), left=left)


def _without(plan: Plan, findings: set[str], restoring: bool) -> Plan:
    """A plan without the cures of `findings`, which are cured or asked about here."""

    def ours(finding: str) -> bool:
        return finding in findings or (restoring and finding.split(":")[0] in REPLACED)

    return replace(
        plan,
        steps=tuple(narrowed(s for s in plan.steps if not any(map(ours, s.cures)))),
        left=tuple(x for x in plan.left if not ours(x.finding)),
    )


def _names(now: Snapshot, held: dict[str, Registration], named: tuple[str, ...]) -> tuple[str, ...]:
    """Names as findings have them, too."""
    labels = {n: r.label(now) for r in held.values() for n in (r.entity, r.name, r.table)}
    return tuple(dict.fromkeys(x for n in named for x in (n, labels.get(n, n))))


def _held(given: Given) -> tuple[dict[str, Registration], frozenset[str], dict[str, str]]:
    """One registration a TVIEW; whom a person has decided; and those on which sources disagree."""
    found: dict[str, Registration] = {}
    refused: dict[str, str] = {}
    for source in given.sources:
        refused |= {e: w for e, w in source.unusable.items() if e not in found}
        for entity, one in source.registrations.items():
            first = found.setdefault(entity, one)
            refused.pop(entity, None) if first is one else None
            difference = disagreement(first, one)
            if difference:
                refused[entity] = (
                    "two files define it, and they disagree. Say which is right with --definition "
                    f"FILE:\n{difference}"
                )
    whole = Source("", found)
    whole, decided = decide(whole, given.decisions)
    for source in given.decisions:
        refused |= {e: w for e, w in source.unusable.items() if e not in decided}
    return (
        dict(whole.registrations),
        decided,
        {e: why for e, why in refused.items() if e not in decided},
    )


def _chosen(
    now: Snapshot,
    examination: Examination,
    held: dict[str, Registration],
    decided: frozenset[str],
    named: tuple[str, ...],
    refused: dict[str, str],
    cured: frozenset[str],
) -> list[Registration]:
    names = {n: r for r in held.values() for n in (r.entity, r.name, r.table, r.label(now))}
    known = {t.label for t in now.tviews} | {f.id for f in examination.findings} | cured
    for name in named:
        if name not in names and name not in known:
            raise UsageError(f"no source holds a TVIEW {name}", "they hold: " + ", ".join(held))
    wanted = {names[n].entity for n in named if n in names}
    chosen = []
    for entity, one in held.items():
        if named and entity not in wanted:
            continue
        if entity in refused:
            if _well(now, examination, one) and entity not in wanted:
                del refused[entity]  # nothing needs it
            continue
        well = _well(now, examination, one)
        # a text that somebody wrote cannot be compared with the view: doctor's word counts
        if intact(now, one) and (well or entity not in decided):
            continue
        if entity in decided or entity in wanted or not well:
            chosen.append(one)
    return chosen


def _well(now: Snapshot, examination: Examination, one: Registration) -> bool:
    """Whether it is registered, and doctor finds nothing wrong with that."""
    registered = one.entity in now.tview_by_entity
    return registered and not _about(now, examination, one)


def _about(now: Snapshot, examination: Examination, one: Registration) -> tuple[str, ...]:
    """Ids of findings on this TVIEW's registration."""
    names = {one.entity, one.name, ident(one.name), one.table, one.label(now)}
    tview = now.tview_by_entity.get(one.entity)
    table = now.by_name.get((one.schema, one.name))
    if tview:
        names.add(tview.label)
    if table and (other := now.tview_by_table.get(table.oid)):
        names |= {
            other.label,
            other.entity,
            f"tv_{other.entity}",
            f"{one.schema}.tv_{other.entity}",
        }
    return tuple(f.id for f in _metadata(examination.findings) if f.object in names)


def _metadata(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        check = all_checks().get(finding.check)
        tells = check and (check.group == "metadata" or check.id in MORE)
        if tells and finding.severity is not Severity.INFO:
            yield finding


def _rows(now: Snapshot, tables: tuple[str, ...], cures: tuple[str, ...]) -> Step:
    """The rows of what was restored and of what reads it."""
    graph = edges(now)
    oids = [r.oid for r in now.relations if r.qualified in tables]
    below = [t.label for t in graph.affected(oids) if t.label not in tables]
    return Step(
        phase="rows",
        title="Compare the rows of what was restored, and bring those that were missed",
        statements=(),
        cures=cures,
        role="superuser",
        locks=("ROW EXCLUSIVE on TVIEWs that differ",),
        tviews=(*tables, *below),
        merge=True,
    )
