"""`pgtv triggers status`: the extension's triggers, a line for each table and TVIEW."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgtv.catalog.model import Lease, Snapshot, Trigger, Tview
from pgtv.checks.declare import Context, Shared
from pgtv.checks.examine import examine
from pgtv.checks.expected import expected_on, matches
from pgtv.checks.leases import held, labels, moment, remaining
from pgtv.checks.registry import all_checks
from pgtv.errors import Exit
from pgtv.finding import Finding, Severity, exit_code, worst
from pgtv.reports.documents import TriggersDocument
from pgtv.reports.snapshots import headline
from pgtv.shown import one_line, plural

SCHEMA = "pgtv.triggers/1"
# what these find decides the exit code
CHECKS = (
    "trigger-missing", "trigger-changed", "trigger-function", "trigger-disabled", "trigger-always",
    "trigger-lease",
)  # fmt: skip
STATES = {"O": "fires", "D": "disabled", "R": "replica only", "A": "always"}
_HEAD = ("TABLE", "TVIEW", "TRIGGERS", "STATE", "EXPECTED", "LEASE")


@dataclass(frozen=True)
class Place:
    """The triggers of one TVIEW on one table.

    expected: whether they are what the TVIEW's plan asks for; missing: kinds that are not there.
    None where the plan does not tell. root: the partitioned table that this is a partition of.
    """

    table: str
    tview: str
    triggers: tuple[Trigger, ...]
    expected: bool | None
    missing: tuple[str, ...] = ()
    leases: tuple[int, ...] = ()
    root: str | None = None


@dataclass(frozen=True)
class Status:
    """What `triggers status` shows."""

    snapshot: Snapshot
    places: tuple[Place, ...]
    leases: tuple[Lease, ...]
    findings: tuple[Finding, ...]

    @property
    def exit(self) -> Exit:
        return exit_code(worst([f.severity for f in self.findings]))


def status(snapshot: Snapshot, tviews: Sequence[Tview] | None) -> Status:
    """The triggers of these TVIEWs; of all, also of TVIEWs that are lost, for None."""
    checks = [all_checks()[c] for c in CHECKS]
    context = Context(snapshot, checks[0], Shared(snapshot))
    wanted = None if tviews is None else {t.entity for t in tviews}
    expected = expected_on(context)
    present: dict[tuple[int, str], list[Trigger]] = {}
    for trigger in snapshot.triggers:
        if trigger.kind:
            present.setdefault((trigger.relation, trigger.entity or ""), []).append(trigger)
    by_trigger = held(snapshot)
    known = snapshot.tview_by_entity
    places = []
    for relation, entity in dict.fromkeys((*expected, *present)):
        if wanted is not None and entity not in wanted:
            continue
        on = present.get((relation, entity), [])
        shapes = expected[relation, entity].shapes if (relation, entity) in expected else ()
        missing = [s.kind for s in shapes if not any(matches(t, s, entity) for t in on)]
        table = snapshot.by_oid.get(relation)
        root = table.partition_root if table else None
        planned = entity in known and isinstance(known[entity].plan, dict)
        places.append(
            Place(
                table=snapshot.name_of(relation),
                tview=known[entity].label if entity in known else entity,
                triggers=tuple(on),
                expected=bool(shapes) and not missing if planned or shapes else None,
                missing=tuple(dict.fromkeys(missing)),
                leases=tuple(
                    sorted({by_trigger[t.oid].lease.id for t in on if t.oid in by_trigger})
                ),
                root=snapshot.name_of(root) if root and root != relation else None,
            )
        )
    names = None if tviews is None else {t.label for t in tviews}
    findings = [
        f
        for f in examine(snapshot, checks).findings
        if f.severity is not Severity.INFO
        and (names is None or f.severity is Severity.UNKNOWN or names & {f.object, *f.affects})
    ]
    leases = [
        lease
        for lease in snapshot.leases
        if wanted is None or wanted & {*lease.owed, *(t.entity for t in lease.triggers)}
    ]
    ordered = sorted(
        places, key=lambda p: (p.root or p.table, p.root is not None, p.table, p.tview)
    )
    return Status(snapshot, tuple(ordered), tuple(leases), tuple(findings))


def render(found: Status, width: int | None = 100, verbosity: int = 0) -> str:
    """A table, what leases there are, and what to do; `width` None cuts nothing."""
    lines = [headline(found.snapshot), ""]
    places = found.places if verbosity > 0 else tuple(_folded(found.places))
    if places:
        lines += [*_table(_telling([_HEAD, *map(_cells, places)]), width), ""]
    else:
        lines += ["There is no trigger of the extension, and none is expected.", ""]
    for lease in found.leases:
        lines += [one_line(text) for text in _lease(found.snapshot, lease)]
    counted = Counter(t.enabled for p in found.places for t in p.triggers)
    tables = len({p.table for p in found.places if p.triggers})
    states = ", ".join(f"{n} {_plural_of(s, n)}" for s, n in sorted(counted.items(), reverse=True))
    whole = ", none missing" if found.places and not any(p.missing for p in found.places) else ""
    lines.append(
        f"{plural(counted.total(), 'trigger')} on {plural(tables, 'table')}{whole}: {states or 'none'}"
    )
    if found.leases:
        lines.append("To end a lease: pgtv triggers enable")
    loud = [f for f in found.findings if f.check != "trigger-lease" and f.caused_by is None]
    if loud:
        lines.append("Evidence and cures: pgtv doctor --only triggers")
    return "\n".join(lines) + "\n"


def _plural_of(state: str, n: int) -> str:
    return "fire" if state == "O" and n != 1 else STATES.get(state, state)


def _lease(snapshot: Snapshot, lease: Lease) -> Iterator[str]:
    if lease.triggers:
        yield (
            f"lease {lease.id}: {plural(len(lease.triggers), 'trigger')}, {remaining(lease)} (until"
            f" {moment(lease.until)}), {lease.taken_by}: {lease.reason}"
        )
    if lease.owed:
        names = ", ".join(labels(snapshot, lease.owed))
        yield f"lease {lease.id}: rows owed to {names}"


def _folded(places: Iterable[Place]) -> Iterator[Place]:
    """Partitions of which the same is true are one line."""
    groups: dict[tuple[object, ...], list[Place]] = {}
    for place in places:
        key = (place.root or place.table, place.root is None, *_cells(place)[1:])
        groups.setdefault(key, []).append(place)
    for group in groups.values():
        first = group[0]
        if len(group) == 1:
            yield first
        else:
            yield replace(first, table=f"{first.root}: {len(group)} partitions")


def _cells(place: Place) -> tuple[str, ...]:
    kinds = ", ".join(dict.fromkeys(t.kind or "" for t in _in_order(place.triggers)))
    by_state: dict[str, list[str]] = {}
    for t in _in_order(place.triggers):
        by_state.setdefault(t.enabled, []).append(t.kind or "")
    if len(by_state) == 1:
        state = STATES[next(iter(by_state))]
    else:
        state = "; ".join(
            f"{STATES[s]}: {', '.join(dict.fromkeys(kinds_))}" for s, kinds_ in by_state.items()
        )
    if place.missing:
        expected = f"missing: {', '.join(place.missing)}"
    else:
        expected = {True: "yes", False: "no", None: "?"}[place.expected]
    lease = ", ".join(str(i) for i in place.leases)
    return tuple(
        one_line(c) for c in (place.table, place.tview, kinds, state or "-", expected, lease or "-")
    )


def _telling(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without the columns EXPECTED and LEASE where they say the same of every line."""
    usual = {"EXPECTED": "yes", "LEASE": "-"}
    shown = [i for i, head in enumerate(rows[0]) if any(r[i] != usual.get(head) for r in rows[1:])]
    return [tuple(r[i] for i in shown) for r in rows]


def _in_order(triggers: Iterable[Trigger]) -> list[Trigger]:
    order = ("row", "delta", "truncate", "flush")
    return sorted(triggers, key=lambda t: order.index(t.kind) if t.kind in order else 9)


def _table(rows: list[tuple[str, ...]], width: int | None) -> Iterator[str]:
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    if width is not None:  # names give way first, the longer one before the other
        while sum(widths) + 2 * (len(widths) - 1) > width and max(widths[:2]) > 12:
            widths[0 if widths[0] >= widths[1] else 1] -= 1
    for row in rows:
        cells = [_middle(c, w).ljust(w) for c, w in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _middle(text: str, width: int) -> str:
    """Cut out of the middle: names of one schema differ at their end."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def document(found: Status) -> TriggersDocument:
    """The same as plain JSON types, schema pgtv.triggers/1."""
    snapshot = found.snapshot
    by_trigger = held(snapshot)
    return {
        "schema": SCHEMA,
        "exit_code": int(found.exit),
        "taken_at": snapshot.taken_at,
        "database": snapshot.server.database,
        "tables": [
            {
                "table": p.table,
                "partition_of": p.root,
                "tview": p.tview,
                "expected": p.expected,
                "missing": list(p.missing),
                "triggers": [
                    {
                        "name": t.name,
                        "kind": t.kind,
                        "enabled": t.enabled,
                        "lease": by_trigger[t.oid].lease.id if t.oid in by_trigger else None,
                        "before": by_trigger[t.oid].record.enabled if t.oid in by_trigger else None,
                    }
                    for t in _in_order(p.triggers)
                ],
            }
            for p in found.places
        ],
        "leases": [
            {
                "id": lease.id,
                "taken_at": lease.taken_at,
                "taken_by": lease.taken_by,
                "until": lease.until,
                "remaining_seconds": lease.remaining_seconds,
                "reason": lease.reason,
                "triggers": len(lease.triggers),
                "tviews": list(labels(snapshot, tuple(sorted({t.entity for t in lease.triggers})))),
                "owed": list(labels(snapshot, lease.owed)),
            }
            for lease in found.leases
        ],
        "findings": [f.id for f in found.findings],
    }
