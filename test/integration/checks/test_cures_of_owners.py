"""Who may run a cure where the tables are not all one role's."""

from __future__ import annotations

import pytest
from contents import differing
from pasting import OWNER, paste
from servers import Database

from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks
from pgtv.errors import ClusterError
from pgtv.finding import Finding

# the base table is another role's, who lets the TVIEWs' owner read it
ANOTHERS = """
DO $$ BEGIN CREATE ROLE other_tables; EXCEPTION WHEN duplicate_object THEN END $$;
DO $$ BEGIN CREATE ROLE of_both; EXCEPTION WHEN duplicate_object THEN END $$;
GRANT other_tables, shop_owner TO of_both;
GRANT CREATE ON SCHEMA public TO other_tables;
ALTER TABLE public.tb_customer OWNER TO other_tables;
GRANT SELECT ON public.tb_customer TO shop_owner;
"""
DROPPED = "DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;"
BOTH = "a superuser, or a member of other_tables and shop_owner"


def one(shop: Database, check: str) -> Finding:
    (outcome,) = examine(shop.snapshot(), [all_checks()[check]]).outcomes
    (finding,) = outcome.findings
    return finding


@pytest.mark.parametrize(
    ("check", "break_"),
    [
        ("trigger-missing", DROPPED),
        ("trigger-disabled", "ALTER TABLE public.tb_customer DISABLE TRIGGER USER;"),
    ],
)
def test_a_base_table_of_another_owner(check: str, break_: str, shop18: Database) -> None:
    """Neither owner may do all of it: the triggers are one's, what refreshes the other's."""
    shop18.sql(ANOTHERS + break_)
    shop18.sql("UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1")
    finding = one(shop18, check)
    assert finding.remedy and finding.remedy.role == BOTH
    for alone in (OWNER, "other_tables"):
        with pytest.raises(ClusterError, match=r"permission denied|must be owner"):
            shop18.sql(f"SET SESSION AUTHORIZATION {alone};" + "\n".join(finding.remedy.sql))
    shop18.sql("SET SESSION AUTHORIZATION of_both;" + "\n".join(finding.remedy.sql))
    assert differing(shop18) == {}
    outcomes = examine(shop18.snapshot(), [all_checks()[check]]).outcomes
    assert not outcomes[0].findings


def test_a_superusers_base_table(shop18: Database) -> None:
    shop18.sql(
        f"ALTER TABLE public.tb_customer OWNER TO postgres; {DROPPED}"
        " GRANT SELECT ON public.tb_customer TO shop_owner"
    )
    finding = one(shop18, "trigger-missing")
    assert finding.remedy and finding.remedy.role == "a superuser"


def test_an_index_needs_create_on_the_schema(shop18: Database) -> None:
    shop18.sql("DROP INDEX public.idx_tv_product_fk_category_pk_product")
    finding = one(shop18, "lookup-index")
    assert finding.remedy and "with CREATE on its schema" in (finding.remedy.role or "")
    shop18.sql("REVOKE CREATE ON SCHEMA public FROM shop_owner")
    with pytest.raises(ClusterError, match="permission denied for schema public"):
        paste(shop18, finding)
    shop18.sql("GRANT CREATE ON SCHEMA public TO shop_owner")
    assert paste(shop18, finding) == OWNER


@pytest.mark.parametrize(
    ("lacks", "who"),
    [
        ("REVOKE SELECT ON public.tv_customer FROM shop_owner", "shop_owner or a superuser"),
        ("REVOKE USAGE ON SCHEMA shut FROM shop_owner", "the owner of the schema, or a superuser"),
    ],
)
def test_what_an_owner_may_give_itself(lacks: str, who: str, shop18: Database) -> None:
    shop18.sql(
        "CREATE SCHEMA shut; GRANT USAGE, CREATE ON SCHEMA shut TO shop_owner; SET ROLE shop_owner;"
        " CREATE TABLE shut.tv_kind AS SELECT c.pk_category AS pk_kind, c.name"
        " FROM public.tb_category c"
    )
    shop18.sql(lacks)
    finding = one(shop18, "owner-cannot-write")
    assert finding.remedy and finding.remedy.role == who


def test_a_databases_owner_takes_nothing_back_that_is_a_roles(shop18: Database) -> None:
    shop18.sql(ANOTHERS + f"ALTER DATABASE {shop18.name} OWNER TO shop_owner;")
    shop18.sql(f"ALTER ROLE other_tables IN DATABASE {shop18.name} SET statement_timeout = '20ms'")
    finding = one(shop18, "time-limit")
    assert finding.remedy and finding.remedy.role == "superuser, or other_tables"
    with pytest.raises(ClusterError, match="permission denied"):
        shop18.sql("SET SESSION AUTHORIZATION shop_owner;" + "\n".join(finding.remedy.sql))
    assert paste(shop18, finding) == "other_tables"
