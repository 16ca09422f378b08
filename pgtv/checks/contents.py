"""Verification as doctor wants it: findings of the check `drift`."""

from __future__ import annotations

from collections.abc import Iterable

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import Dialect
from pgtv.catalog.model import Snapshot
from pgtv.checks.bringing import Root, from_roots, merging
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.graph.edges import Edges, edges
from pgtv.graph.select import select
from pgtv.rows.result import Result, State
from pgtv.session import Target

CHECK = "drift"


def findings(target: Target, snapshot: Snapshot) -> list[Finding]:
    """Verify every TVIEW now and say what differs. Raises ConnectError."""
    from pgtv.rows.compare import Wanted
    from pgtv.rows.run import Plan, verify_all

    results = verify_all(Plan(snapshot, target, select(snapshot), Wanted(limit=5)))
    return list(as_findings(snapshot, results))


def as_findings(snapshot: Snapshot, results: Iterable[Result]) -> Iterable[Finding]:
    """One finding for each TVIEW that differs or could not be told."""
    affected = edges(snapshot)
    dialect = dialects.named(snapshot.extension.generation)
    for r in results:
        if r.state in (State.EQUAL, State.SKIPPED):
            continue
        reached = tuple(t.label for t in affected.affected([r.table_oid]))
        yield Finding(
            id=f"{CHECK}:{r.tview}",
            check=CHECK,
            severity=_SEVERITY[r.state],
            effect=Effect.ROWS_WRONG if r.state is State.DIFFERS else Effect.NONE,
            object=r.tview,
            title=_TITLE[r.state],
            detail=_detail(r),
            affects=reached,
            needs=r.needs,
            evidence=tuple(_evidence(r)),
            # the nearest one that it reads, cured first, takes this one along
            caused_by=f"{CHECK}:{r.wrong_upstream[0]}" if r.wrong_upstream else None,
            remedy=remedy(snapshot, affected, dialect, r.tview, reached)
            if r.state is State.DIFFERS
            else None,
        )


def remedy(
    snapshot: Snapshot, graph: Edges, dialect: Dialect, table: str, affects: tuple[str, ...]
) -> Remedy:
    """The cure of drift that every release has: it blocks, and takes `affects` along.

    A plan that maps by the wrong column looks like any other, so it is derived anew first.
    """
    again = (dialect.reregister(table),) if dialect.acts and dialect.has_plan else ()
    entity = next((t.entity for t in snapshot.tviews if t.label == table), "")
    rows = from_roots(snapshot, graph, dialect, [Root(table, entity, table, affects)], affects)
    return Remedy(
        sql=("SET lock_timeout = '2s';", *again, *rows.sql),
        command=None if rows.refreshes else merging(table),
        role=f"owner of {table}",
        locks=rows.locks,
        note=f"{rows.note} It corrects the plan and the rows, not what else made them wrong: cure that "
        "first, or they will differ again.",
    )


_SEVERITY = {
    State.DIFFERS: Severity.CRITICAL,
    State.UNKNOWN: Severity.UNKNOWN,
    State.MAY_DIFFER: Severity.INFO,
}
_TITLE = {
    State.DIFFERS: "Contents differ from the definition",
    State.UNKNOWN: "Contents could not be verified",
    State.MAY_DIFFER: "Contents differ, as they may",
}


def _detail(r: Result) -> str:
    if r.state is State.UNKNOWN:
        return f"{r.tview} could not be verified: {r.reason}." + (f" {r.hint}." if r.hint else "")
    if r.faults:
        return f"{r.tview} cannot equal its definition: {'; '.join(r.faults)}."
    counts = ", ".join(
        f"{n} {kind}"
        for n, kind in ((r.missing, "missing"), (r.extra, "extra"), (r.changed, "changed"))
        if n
    )
    rows = "1 row" if r.differing == 1 else f"{r.differing:,} rows"
    text = f"{r.tview} differs from its definition in {rows}: {counts}."
    if r.wrong_upstream:
        text += f" It reads {', '.join(r.wrong_upstream)}, which differs too: cure that first."
    if r.apart:
        text += f" It is {r.apart}, so this may be right."
    return text


def _evidence(r: Result) -> Iterable[dict[str, object]]:
    for d in r.differences:
        key = ", ".join(
            f"{k} = {v if v is not None else 'NULL'}" for k, v in zip(r.keys, d.key, strict=False)
        )
        row: dict[str, object] = {"row": key, "is": d.kind}
        for p in d.paths[:1]:
            row |= {
                "at": p.path,
                "definition": _short(p.expected),
                "table": _short(p.found),
            }
        if d.inherited_from:
            row["inherited from"] = ", ".join(d.inherited_from[:3])
        yield row


def _short(value: str | None) -> str:
    text = "(absent)" if value is None else value
    return text if len(text) <= 80 else text[:77] + "…"
