"""Proves a restored database: contents, writes, doctor, the source's snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from pgtv.catalog.model import Snapshot, Tview
from pgtv.finding import Finding
from pgtv.lifecycle.restore.certificate_points import SERVER_GROUPS
from pgtv.rows.result import Result
from pgtv.rows.run import Plan, verify_all
from pgtv.session import Target, connect

COMPARING = "4h"  # statement_timeout while rows are compared, as `pgtv verify` has it


def total_rows(snapshot: Snapshot) -> float:
    """Rows of all TVIEWs as statistics have them."""
    tables = (snapshot.by_oid.get(t.table_oid) for t in snapshot.tviews)
    return sum(max(t.reltuples, 0.0) for t in tables if t)


def emptied(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """Tables that TVIEWs read, with rows by the source's statistics and without any by those here."""
    here = {r.qualified: r.reltuples for r in after.relations}
    return tuple(
        r.qualified
        for r in before.relations
        if r.kind == "r"
        and r.oid not in before.tview_by_table
        and r.schema != before.extension.schema
        and r.reltuples > 0
        and here.get(r.qualified) == 0
    )


def contents(
    target: Target, snapshot: Snapshot, tviews: Sequence[Tview], on_result: Callable[[Result], None]
) -> list[Result]:
    """Compare every row of `tviews` with its definition. Raises ConnectError."""
    return verify_all(Plan(snapshot, target, tviews, on_result=on_result))


def writes(target: Target, snapshot: Snapshot) -> tuple[dict[str, str], tuple[Finding, ...]]:
    """A write to each base table, rolled back: what came of it, and what fails or is not known."""
    from pgtv.rows.probe import probe

    tables = sorted((r.qualified for r in snapshot.relations), key=len, reverse=True)
    said: dict[str, str] = {}

    def hear(line: str) -> None:
        table = next((t for t in tables if line.startswith(f"probe {t}: ")), None)
        if table:
            said[table] = line.removeprefix(f"probe {table}: ")

    with contextlib.closing(connect(target, read_only=False)) as connection:
        found = tuple(probe(connection, snapshot, hear))
    return said, found


def doctor(snapshot: Snapshot) -> tuple[tuple[Finding, ...], int]:
    """What doctor finds in the database, and how many checks looked; not of the throwaway server."""
    from pgtv.checks.examine import State as Ended
    from pgtv.checks.examine import examine
    from pgtv.checks.registry import all_checks

    checks = [c for c in all_checks().values() if c.group not in SERVER_GROUPS]
    done = examine(snapshot, checks)
    return done.findings, len(checks) - done.state_count(Ended.NOT_APPLICABLE)
