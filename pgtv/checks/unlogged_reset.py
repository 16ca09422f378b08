"""An UNLOGGED TVIEW was emptied by a crash or a promotion and has not been refilled.

Meaning:
    PostgreSQL empties UNLOGGED tables when it recovers. The extension notes which UNLOGGED TVIEWs it
    can trust in a table that is emptied with them; this one is not noted there.

Impact:
    Readers find no rows, or not all, until a background worker of the extension or the first write to
    a base table refills it. That worker needs the library to be preloaded and the database to be among
    those that it serves. PREPARE TRANSACTION after such a refill fails with SQLSTATE 25000. The
    extension's health check says OK.

Diagnosis:
    The extension's table of UNLOGGED TVIEWs that it trusts, and the size of the TVIEW's table.

Mitigation:
    Refill it. Where a prepared transaction was open during the crash, the refill may wait for it, and
    a server that is stopped meanwhile hangs: resolve it first. Then refresh the TVIEW once more: a refill
    of before cannot see its rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import literal
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.resolving import unlogged_of
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    reset = [
        (tview, table)
        for tview in context.snapshot.tviews
        if tview.valid is False
        and (table := context.snapshot.by_oid.get(tview.table_oid))
        and table.persistence == "u"
    ]
    if not reset:
        return
    names = [table.qualified for _, table in reset]
    oids = {table.oid for _, table in reset}
    held = [
        p.gid for p in context.snapshot.prepared
        if oids & {t.table_oid for t in unlogged_of(context, p)}
    ]  # fmt: skip
    empty = any(table.bytes in (0, None) for _, table in reset)
    yield context.finding(
        names[0] if len(names) == 1 else "UNLOGGED TVIEWs",
        f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''} "
        f"{'was' if len(names) == 1 else 'were'} reset and not refilled"
        + (": readers find no rows." if empty else "."),
        severity=Severity.CRITICAL if empty else Severity.WARNING,
        effect=Effect.ROWS_WRONG if empty else Effect.RISK,
        affects=context.affected(*(t.oid for _, t in reset)),
        evidence=[
            {"tview": table.qualified, "trusted": "no",
             "bytes": "unknown" if table.bytes is None else table.bytes}
            for _, table in reset
        ]
        + [{"refill waits for": f"prepared transaction {gid}"} for gid in held],
        remedy=Remedy(
            sql=("SET lock_timeout = '2s';", context.dialect.rebuild_empty()),
            role="the owner of the extension, or a superuser",
            locks=tuple(f"ROW EXCLUSIVE on {name}" for name in names),
            note=_note(held),
        ),
    )  # fmt: skip


def _note(held: list[str]) -> str:
    note = (
        "It refills every UNLOGGED TVIEW that was reset; writers of the tables that they read wait"
        " meanwhile."
    )
    if held:
        gids = ", ".join(literal(gid).strip() for gid in held)
        note += (
            f" It waits itself for the prepared {gids}: resolve that first, and refresh the TVIEW after it."
            " A stop of the server would hang before that (pgtv explain 'server does not shut down')."
        )
    return note


CHECK = Check(
    id="unlogged-reset",
    title="An UNLOGGED TVIEW was reset",
    group="storage",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations", "valid"),
    where="primary",
    generations=("current",),
    provoke=Provoke(elsewhere="test/integration/checks/test_unlogged.py::test_reset_by_a_crash"),
)
