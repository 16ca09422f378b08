"""The locks that cures print are those that PostgreSQL takes: no more, no fewer, no weaker."""

from __future__ import annotations

import re

import psycopg
import pytest
from servers import Database

from pgtv.checks.declare import Check
from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks
from pgtv.finding import Finding

GROUPS = ("installation", "metadata", "triggers", "privileges", "storage")
CHECKS = [
    pytest.param(c, id=c.id)
    for c in all_checks().values()
    if c.group in GROUPS and c.provoke.break_ and not c.provoke.elsewhere
]
# what re-registering takes where several tables are new to the plan, one of them partitioned, or none is
OPEN = (
    "CREATE OR REPLACE VIEW public.v_open_order AS SELECT o.pk_order, o.fk_customer, o.placed_at"
    ' FROM "Sales Dept".tb_order o WHERE '
)
LINES = 'EXISTS (SELECT 1 FROM "Sales Dept".tb_order_line l WHERE l.fk_order = o.pk_order)'
MOVES = "EXISTS (SELECT 1 FROM public.tb_stock_move m WHERE m.fk_product = o.pk_order)"
NOBODY = "(SELECT 1::bigint AS pk_order, 1::bigint AS fk_customer, '2026-01-01'::timestamptz AS placed_at) o"
STORED = "UPDATE tviews.pg_tview_meta SET definition = definition || ' WHERE EXISTS (SELECT FROM "
READS = {
    "a table": OPEN + LINES,
    "several tables": f"{OPEN} {LINES} AND {MOVES}",
    "a column": OPEN + "o.id IS NOT NULL AND o.status = 'open'",
    "no more": OPEN.replace('"Sales Dept".tb_order o', NOBODY) + "true",
    "the text alone": STORED + "public.tb_product)' WHERE entity = 'basket'",
}  # fmt: skip
# from here on a lock makes other sessions' ordinary statements or maintenance wait
STRENGTH = (
    "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)  # fmt: skip
ALONE = re.compile(r"CONCURRENTLY|^VACUUM|^ALTER SYSTEM|pg_reload_conf")
HELD = """
SELECT format('%I.%I', n.nspname, c.relname), array_agg(DISTINCT l.mode)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.pid = pg_backend_pid() AND l.granted
  AND c.relkind IN ('r', 'p', 'm', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
GROUP BY 1
"""


def _mode(name: str) -> str:
    """`ShareRowExclusiveLock` as SQL writes it."""
    return re.sub(r"(?<!^)([A-Z])", r" \1", name.removesuffix("Lock")).upper()


def _printed(finding: Finding) -> dict[str, str]:
    """Relation to the strongest mode that is printed for it."""
    found: dict[str, str] = {}
    assert finding.remedy
    for lock in finding.remedy.locks:
        match = re.fullmatch(r"([A-Z ]+) on (.*?)( \(the refresh\))?", lock)
        assert match, lock
        mode, names = match[1], match[2].split(", ")
        assert mode in STRENGTH, lock
        for name in names:
            found[name] = max(found.get(name, mode), mode, key=STRENGTH.index)
    return found


def _provoked(check: Check, shop: Database) -> Finding:
    shop.sql(check.provoke.near_miss + "\n" + check.provoke.break_)
    (outcome,) = examine(shop.snapshot(), [check]).outcomes
    return next(f for f in outcome.findings if check.provoke.object in (None, f.object))


@pytest.mark.parametrize("check", CHECKS)
def test_locks(check: Check, shop18: Database) -> None:
    try:
        finding = _provoked(check, shop18)
        if not finding.remedy or not finding.remedy.sql:
            return
        _assert_printed(finding, shop18)
    finally:
        if check.provoke.undo:
            shop18.sql(check.provoke.undo)


@pytest.mark.parametrize("what", READS)
def test_locks_where_definition_view_and_plan_disagree(what: str, shop18: Database) -> None:
    shop18.sql(READS[what])
    (outcome,) = examine(shop18.snapshot(), [all_checks()["reads-disagree"]]).outcomes
    (finding,) = outcome.findings
    assert finding.remedy and finding.remedy.sql
    _assert_printed(finding, shop18)
    shop18.sql("\n".join(finding.remedy.sql))
    (outcome,) = examine(shop18.snapshot(), [all_checks()["reads-disagree"]]).outcomes
    assert not outcome.findings, "the cure ends it"


def _assert_printed(finding: Finding, shop18: Database) -> None:
    assert finding.remedy
    printed = _printed(finding)
    statements = [s for s in finding.remedy.sql if not re.match(r"SET |BEGIN|COMMIT", s)]
    if any(ALONE.search(s) for s in statements):
        _assert_conflicts(shop18, statements, printed)
        return
    with shop18.connect(autocommit=False) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        rows = connection.execute(HELD).fetchall()
        connection.rollback()
    held = {}
    for name, modes in rows:
        known = [m for m in map(_mode, modes) if m in STRENGTH]
        if known:
            held[name] = max(known, key=STRENGTH.index)
    for name, mode in printed.items():
        assert held.get(name) == mode, f"printed {mode} on {name}, held {held.get(name)}"
    heavy = {
        n: m
        for n, m in held.items()
        if STRENGTH.index(m) >= STRENGTH.index("SHARE UPDATE EXCLUSIVE")
    }
    assert set(heavy) <= set(printed), f"not printed: {set(heavy) - set(printed)}"


def _assert_conflicts(shop: Database, statements: list[str], printed: dict[str, str]) -> None:
    """What cannot run in a transaction takes a lock that SHARE UPDATE EXCLUSIVE conflicts with."""
    for table in printed:
        with shop.connect(autocommit=False) as other, shop.connect() as connection:
            other.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE".encode())
            connection.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                for statement in statements:
                    connection.execute(statement.encode())
            other.rollback()
