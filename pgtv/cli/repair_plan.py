"""What `pgtv repair` was asked for, and the plan that it makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgtv.cli.options import look
from pgtv.repairs.tested import untested
from pgtv.session import Target, connected

if TYPE_CHECKING:
    from pgtv.checks.examine import Examination
    from pgtv.plan import Plan
    from pgtv.repairs.metadata import Given

WHAT = {
    "metadata": frozenset({"installation", "registration"}),
    "triggers": frozenset({"triggers"}),
    "rows": frozenset({"rows"}),
}
VERIFY = "--verify"  # in what a plan was asked for


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. what: phases, TVIEWs and ids of findings."""

    what: tuple[str, ...] = ()
    strategy: str = "merge"
    verify: bool = False
    given: Given | None = None


def asked_of(plan: Plan, given: Given | None) -> Asked:
    """What a saved plan was made for."""
    rows = [s for s in plan.steps if s.phase == "rows" and (s.merge or s.statements)]
    return Asked(
        tuple(w for w in plan.asked if w != VERIFY),
        "rebuild" if rows and not any(s.merge for s in rows) else "merge",
        VERIFY in plan.asked,
        given,
    )


def make(
    target: Target, source: Path | None, asked: Asked, cured: frozenset[str] = frozenset()
) -> Plan:
    """Look, examine, and plan; of what was asked for, the findings `cured` may be gone."""
    from pgtv.plan import PHASES
    from pgtv.repairs import metadata
    from pgtv.repairs.from_findings import build

    what, given = asked.what, asked.given
    phases = frozenset[str]().union(*(WHAT[w] for w in what if w in WHAT))
    phases |= {w for w in what if w in PHASES}
    named = tuple(w for w in what if w not in WHAT and w not in PHASES)
    examination = _examined(target, source, verify=asked.verify)
    if given is not None:
        wanted = replace(given, named=named, absent=_absent(target, given, source))
        plan = metadata.build(examination, wanted, phases, cured)
    else:
        chosen = _resolved(examination, named, cured)
        plan = build(examination, phases, chosen, rebuild=asked.strategy == "rebuild")
    more = (VERIFY,) if asked.verify else ()
    return replace(
        plan, asked=(*plan.asked, *more), untested=untested(examination.snapshot.extension)
    )


def _examined(target: Target, source: Path | None, *, verify: bool) -> Examination:
    from pgtv.checks.examine import examine
    from pgtv.checks.registry import all_checks

    snapshot = look(target, source)
    if not verify:
        return examine(snapshot, all_checks().values())
    from pgtv.checks.contents import CHECK, findings

    return examine(snapshot, all_checks().values(), given={CHECK: findings(target, snapshot)})


def _absent(target: Target, given: Given, source: Path | None) -> frozenset[tuple[str, str]]:
    """What the sources' definitions read and the database lacks; unknown without a server."""
    from pgtv.repairs.sources import absent

    if source is not None:
        return frozenset()
    registrations = [
        r for s in (*given.sources, *given.decisions) for r in s.registrations.values()
    ]
    with connected(target) as connection:
        return absent(connection, registrations)


def _resolved(
    examination: Examination, named: tuple[str, ...], cured: frozenset[str]
) -> tuple[str, ...]:
    """Ids of findings as they are; names of TVIEWs as the selector knows them."""
    from pgtv.graph.select import select

    ids = {f.id for f in examination.findings} | cured
    tviews = [n for n in named if n not in ids]
    chosen = select(examination.snapshot, tviews, ()) if tviews else []
    return tuple(n for n in named if n in ids) + tuple(t.label for t in chosen)
