"""The plan that brings everything back as a snapshot says: extension, TVIEWs, grants, writes, rows.

A pure function of what is there and of what was: so an attach that was interrupted goes on by being
planned again, and the same plan cures a dropped extension and a restore without registrations.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgtv import fence
from pgtv.catalog.model import Snapshot
from pgtv.plan import Left, Plan, Step, plan_for
from pgtv.repairs.installing import installation
from pgtv.repairs.registered import Registration, Source
from pgtv.repairs.registration import intact, restore, trust


def plan(
    now: Snapshot,
    source: Source,
    wanted: Iterable[Registration],
    decided: frozenset[str] = frozenset(),
    absent: frozenset[tuple[str, str]] = frozenset(),
) -> Plan:
    """Attach `wanted` of `source`, those that stand already left alone. The rows come last.

    decided, absent: as registration.restore has them.

    Writes are let in once every TVIEW that the source holds is registered: while one is left out, the
    fence stays.
    """
    chosen = list(wanted)
    missing = [r for r in chosen if r.entity in decided or not intact(now, r)]
    restored = restore(now, missing, decided, absent)
    steps = [*installation(now, source.snapshot), *restored.steps]
    refused = {**source.unusable, **restored.refused}
    if fence.fenced(now) and not refused:
        steps.append(_open(now))
    here = [r for r in chosen if r.entity not in refused]
    if here:
        steps.append(_rows(tuple(r.label(now) for r in here)))
    steps += trust(now, here)
    return plan_for(
        now,
        steps,
        left=(Left(f"tv_{e}", why) for e, why in sorted(refused.items())),
        asked=("attach", source.path),
    )


def _open(now: Snapshot) -> Step:
    fenced = fence.fenced(now)
    return Step(
        phase="triggers",
        title="Let writes in again",
        statements=("BEGIN;", fence.lower(), "COMMIT;"),
        role="superuser",
        locks=tuple(f"ACCESS EXCLUSIVE on {r.qualified}" for r in fenced),
        note="From here on TVIEWs follow writes; their rows are compared beside them.",
    )


def _rows(tables: tuple[str, ...]) -> Step:
    return Step(
        phase="rows",
        title="Compare the rows, and bring those that were missed",
        statements=(),
        role="superuser",
        locks=("ROW EXCLUSIVE on TVIEWs that differ",),
        note="A write while nobody kept the TVIEWs is found here. Equal ones are not written.",
        tviews=tables,
        merge=True,
    )
