"""What doctor prints as undo brings back what was before the cure: every state, and no other one."""

from __future__ import annotations

import pytest
from servers import Database

from pgtv.catalog.codec import to_dict
from pgtv.catalog.model import Snapshot
from pgtv.checks.declare import Check
from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks
from pgtv.finding import Finding
from pgtv.reports.layout import is_sql

CHECKS = all_checks()
ROW = "trg_tview_row_customer_on_public_tb_customer"
MOVES = "trg_tview_row_stock_on_public_tb_stock_move"
# Those whose provoked finding has statements as its undo, where others have words, or none.
DECLARED = (
    "catalog-filtered", "owner-cannot-read", "owner-cannot-write", "prepare-refused",
    "quoted-identifiers", "read-only-default", "registration-missing", "row-security",
    "search-path-shadows", "time-limit", "trigger-always", "trigger-disabled", "trigger-endless",
    "trigger-user-code", "unlogged-base", "view-nesting", "write-limits",
)  # fmt: skip
# What is compared: what people set. Rows, statistics and numbers of files change with every cure.
SECTIONS = (
    "relations", "triggers", "settings", "role_settings", "grants", "default_grants", "access",
    "publications",
)  # fmt: skip
VOLATILE = {
    "relpages", "reltuples", "bytes", "more_bytes", "file_node", "age", "rule_age", "pending_restart",
    "source",
}  # fmt: skip


def faults() -> list[tuple[str, str, str, str | None]]:
    """(name, check, what provokes it, object): what the checks declare, and states beside."""
    declared = [
        (c.id, c.id, f"{c.provoke.near_miss} {c.provoke.break_}", c.provoke.object)
        for c in map(CHECKS.__getitem__, DECLARED)
    ]
    disabled, always, mine = "trigger-disabled", "trigger-always", "trigger-endless"
    again = CHECKS[mine].provoke.break_
    on, moves = "ALTER TABLE public.tb_customer", "ALTER TABLE public.tb_stock_move"
    return [
        *declared,
        ("replica only", disabled, f"{on} ENABLE REPLICA TRIGGER {ROW};", None),
        ("of a partitioned table", disabled, f"{moves} DISABLE TRIGGER {MOVES};", None),
        ("of a partitioned table only", disabled, f"{moves} DISABLE TRIGGER {MOVES};"
         f" ALTER TABLE public.tb_stock_move_2025 ENABLE TRIGGER {MOVES};"
         f" ALTER TABLE public.tb_stock_move_2026 ENABLE REPLICA TRIGGER {MOVES};", None),
        ("always, partitioned", always, f"{moves} ENABLE ALWAYS TRIGGER {MOVES};"
         f" ALTER TABLE public.tb_stock_move_2025 DISABLE TRIGGER {MOVES};", None),
        ("somebody's, always", mine, f"{again} {on} ENABLE ALWAYS TRIGGER again;", None),
        ("somebody's, with such a name", mine,
         f'{again} ALTER TRIGGER again ON public.tb_customer RENAME TO "DISABLE TRIGGER";', None),
    ]  # fmt: skip


FAULTS = faults()


@pytest.mark.parametrize(
    ("check", "break_", "object_"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_undo(check: str, break_: str, object_: str | None, shop18: Database) -> None:
    declared = CHECKS[check]
    try:
        shop18.sql(break_)
        before = shop18.snapshot()
        finding = _found(declared, before, object_)
        assert finding.remedy
        undo = finding.remedy.undo
        assert undo and is_sql(undo)
        shop18.sql("\n".join(finding.remedy.sql))
        assert _states(shop18.snapshot()) != _states(before), "the cure changes something"
        shop18.sql(undo)
        after = shop18.snapshot()
        assert _states(after) ^ _states(before) == set(), undo
        assert _found(declared, after, object_).detail == finding.detail
    finally:
        if declared.provoke.undo:
            shop18.sql(declared.provoke.undo)


def test_what_cannot_be_undone_by_a_statement_is_said_in_words(shop18: Database) -> None:
    """REVOKE SELECT on a table takes the privileges on its columns too: the catalog's copy is gone."""
    check = CHECKS["owner-cannot-read"]
    shop18.sql(f"{check.provoke.near_miss} {check.provoke.break_}")
    shop18.sql("GRANT SELECT (pk_category) ON public.tb_category TO shop_owner")
    finding = _found(check, shop18.snapshot(), "public.tb_category")
    assert finding.remedy and finding.remedy.undo
    assert not is_sql(finding.remedy.undo)
    assert "columns" in finding.remedy.undo


def _found(check: Check, snapshot: Snapshot, object_: str | None) -> Finding:
    (outcome,) = examine(snapshot, [check]).outcomes
    return next(f for f in outcome.findings if object_ in (None, f.object))


def _states(snapshot: Snapshot) -> set[str]:
    """Every fact as text, without what changes by itself."""
    found = set()
    for section in SECTIONS:
        for fact in to_dict(getattr(snapshot, section)):
            kept = {k: v for k, v in fact.items() if k not in VOLATILE}
            found.add(f"{section} {kept}")
    return found
