"""Inheritance children: the extension refuses them where it looks, so they are planted."""

from __future__ import annotations

from pasting import paste
from servers import Database

from pgtv.checks.examine import examine
from pgtv.checks.registry import select

PLANT = """
SET allow_system_table_mods = on;
CREATE TABLE public.tb_customer_old (LIKE public.tb_customer INCLUDING ALL);
ALTER TABLE public.tb_customer_old OWNER TO shop_owner;
INSERT INTO pg_inherits (inhrelid, inhparent, inhseqno, inhdetachpending)
VALUES ('public.tb_customer_old'::regclass, 'public.tb_customer'::regclass, 1, false);
UPDATE pg_class SET relhassubclass = true WHERE oid = 'public.tb_customer'::regclass;
-- what PostgreSQL itself records about a child, so that NO INHERIT finds it
INSERT INTO pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
VALUES ('pg_class'::regclass, 'public.tb_customer_old'::regclass, 0,
        'pg_class'::regclass, 'public.tb_customer'::regclass, 0, 'n');
UPDATE pg_attribute SET attinhcount = 1 WHERE attrelid = 'public.tb_customer_old'::regclass
   AND attnum > 0;
UPDATE pg_constraint SET coninhcount = 1 WHERE conrelid = 'public.tb_customer_old'::regclass
   AND contype IN ('c', 'n');
INSERT INTO public.tb_customer_old OVERRIDING SYSTEM VALUE
VALUES (9999, gen_random_uuid(), 'unseen', 'unseen@example.com');
"""


def test_found(shop: Database) -> None:
    shop.sql(PLANT)
    assert shop.sql("SELECT count(*) FROM public.tv_customer WHERE pk_customer = 9999") == "0\n"
    (finding,) = examine(shop.snapshot(), select(("inheritance-children",))).findings
    assert finding.object == "public.tb_customer"
    assert "public.tv_customer" in finding.affects
    paste(shop, finding)
    assert not examine(shop.snapshot(), select(("inheritance-children",))).findings
    assert shop.sql("SELECT count(*) FROM public.tb_customer WHERE pk_customer = 9999") == "0\n"
