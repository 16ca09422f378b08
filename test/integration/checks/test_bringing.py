"""Printed cures where a foreign key of another table points at a TVIEW, which then cannot be emptied."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from contents import differing
from servers import Database

from pgtv.checks.contents import findings
from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks
from pgtv.finding import Finding, Severity

FOREIGN_KEY = """
CREATE TABLE public.mail (product bigint REFERENCES public.tv_product);
INSERT INTO public.mail SELECT g FROM generate_series(20, 30) g;
"""
WRITE = """
UPDATE public.tb_product SET name = name || ' new' WHERE pk_product IN (20, 50);
UPDATE public.tb_category SET name = 'renamed' WHERE pk_category = 3;
"""
META = "tviews.pg_tview_meta"


@dataclass(frozen=True)
class Fault:
    """break_, run before the rows are written; the check that has to find it. before: a healthy shape."""

    check: str
    break_: str
    before: str = ""


FAULTS = {
    "missing trigger": Fault(
        "trigger-missing", "DROP TRIGGER trg_tview_row_product_on_public_tb_product ON tb_product;"
    ),
    "disabled triggers, upstream of it": Fault(
        "trigger-disabled", "ALTER TABLE tb_category DISABLE TRIGGER USER;"
    ),
    "lost registration": Fault(
        "registration-missing", f"DELETE FROM {META} WHERE entity = 'product';"
    ),
    "every registration lost": Fault("registration-missing", f"DELETE FROM {META};"),
    "dropped view": Fault("view-mismatch", "DROP VIEW tviews.public__tv_product;"),
    "replaced helper": Fault(
        "changed-since", "CREATE OR REPLACE FUNCTION public.shout(text) RETURNS text IMMUTABLE"
        " LANGUAGE sql AS 'SELECT lower($1)';",
        """CREATE FUNCTION public.shout(text) RETURNS text IMMUTABLE LANGUAGE sql
            AS 'SELECT upper($1)';
        CREATE TABLE public.tv_sign AS SELECT p.pk_product AS pk_sign, p.id,
            jsonb_build_object('name', public.shout(p.name)) AS data FROM public.tb_product p;
        CREATE TABLE public.hung (sign bigint REFERENCES public.tv_sign);
        INSERT INTO public.hung VALUES (20);""",
    ),
    "forced row security": Fault(
        "row-security",
        "ALTER TABLE public.tv_product ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;",
    ),
    "writes as a replica": Fault(
        "replication-role",
        "ALTER DATABASE :\"DBNAME\" SET session_replication_role = replica; \\connect",
    ),
    "rows owed": Fault(
        "rows-owed", "COMMENT ON VIEW tviews.public__tv_category IS 'pgtv: rows are owed';"
        " SET session_replication_role = replica;",
    ),
    "rows wrong": Fault("drift", "SET session_replication_role = replica;"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_no_refresh_empties_it(shop18: Database, name: str) -> None:
    fault = FAULTS[name]
    shop18.sql(f"SET ROLE shop_owner; {FOREIGN_KEY} {fault.before}")
    shop18.sql("\\set ON_ERROR_STOP off\n" + fault.break_ + WRITE)
    todo = _open(shop18)
    assert fault.check in {f.check for f in todo}, [f.id for f in todo]
    for _ in range(2):  # one cure may uncover what the other had hidden
        for finding in todo:
            assert finding.remedy
            if finding.remedy.sql and not finding.caused_by:
                shop18.sql("\n".join(finding.remedy.sql))
        todo = _open(shop18)
    assert [f.id for f in todo] == []
    assert differing(shop18) == {}
    shop18.sql(WRITE)
    assert differing(shop18) == {}
    assert (
        shop18.sql("SELECT count(*) FROM pg_constraint WHERE conname = 'mail_product_fkey'")
        == "1\n"
    )


def test_only_what_it_reaches_is_compared(shop18: Database) -> None:
    """As the owner, who may not truncate for somebody else either; the rest is refreshed as ever."""
    shop18.sql(f"SET ROLE shop_owner; {FOREIGN_KEY}")
    shop18.sql("SET session_replication_role = replica; UPDATE tb_customer SET name = name || ' x';"
               " UPDATE tb_product SET name = name || ' x';")  # fmt: skip
    found = {f.object: f.remedy for f in findings(shop18.target(), shop18.snapshot())}
    customer, product = found["public.tv_customer"], found["public.tv_product"]
    assert customer and product and customer.command is None
    assert customer.sql[-1] == "SELECT tviews.pg_tviews_refresh('public.tv_customer');"
    assert product.command == "pgtv refresh public.tv_product --apply"
    assert "pg_tviews_refresh" not in " ".join(product.sql)
    assert product.locks == (
        'ROW EXCLUSIVE on public.tv_product, "Sales Dept".tv_order_line (the comparison)',
    )
    assert product.note and "A foreign key of public.mail" in product.note
    assert max(len(line) for s in product.sql for line in s.splitlines()) <= 76
    with shop18.connect(autocommit=False) as session:
        session.execute("SET LOCAL ROLE shop_owner")
        for statement in product.sql:
            session.execute(statement.encode())
        heavy = session.execute(
            "SELECT mode, relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND"
            " mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
            " AND relation IN (SELECT oid FROM pg_class WHERE relpersistence <> 't')"
        ).fetchall()
        session.commit()
    assert heavy == []
    assert "public.tv_product" not in differing(shop18)


def _open(shop: Database) -> list[Finding]:
    """What doctor says above info; where it says nothing, what doctor --verify says.

    The foreign key itself is a finding, which a person decides about; here it is meant.
    """
    snapshot = shop.snapshot()
    found = examine(snapshot, all_checks().values()).findings
    above = [f for f in found if f.severity is not Severity.INFO and f.check != "tview-constraint"]
    return above or findings(shop.target(), snapshot)
