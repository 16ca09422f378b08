"""What stands on TVIEWs: a view, a foreign key, grants, comments, a policy, owners; a cure must leave
them."""

from __future__ import annotations

import psycopg
from bench import Bench

SETUP = """
CREATE VIEW public.report AS
    SELECT c.pk_customer, c.data->>'name' AS name, s.data->'orders' AS orders, b.data AS basket
    FROM public.tv_customer c JOIN public.tv_segment s ON s.pk_segment = c.pk_customer
    JOIN public.tv_basket b ON b.pk_basket = c.pk_customer;
CREATE VIEW "Sales Dept".lines AS
    SELECT l.pk_order_line, l.data AS line, o.data AS "order" FROM "Sales Dept".tv_order_line l
    JOIN "Sales Dept".tv_order o ON o.pk_order = l.fk_order;
CREATE VIEW public.found AS
    SELECT s.words, k.data, y.data AS category FROM public.tv_search s
    JOIN public.tv_stock k ON k.pk_stock = s.pk_search JOIN public.tv_category y ON y.pk_category = 1;
CREATE TABLE public.mail (id int PRIMARY KEY, product bigint REFERENCES public.tv_product);
INSERT INTO public.mail SELECT pk_product, pk_product FROM public.tb_product
  WHERE pk_product BETWEEN 20 AND 30 AND fk_category <> 5; -- which a fault deletes
GRANT SELECT ON public.tv_category, public.tv_product, public.tv_customer, public.tv_stock,
    public.tv_basket, public.tv_search, public.tv_segment, "Sales Dept".tv_order,
    "Sales Dept".tv_order_line, public.report, "Sales Dept".lines, public.found TO fault_writer;
COMMENT ON TABLE public.tv_customer IS 'read by the front page';
COMMENT ON COLUMN public.tv_customer.data IS 'sent to browsers';
ALTER TABLE public.tv_basket ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON public.tv_basket FOR SELECT TO fault_writer USING (pk_basket > 0);
CREATE INDEX by_name ON public.tv_customer ((data->>'name'));
"""

_OURS = (
    "n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema', 'tviews')"
    " AND n.nspname !~ '^pg_temp'"
)
_LINES = f"""
SELECT format('%s may %s %s', coalesce(nullif(a.grantee::regrole::text, '-'), 'PUBLIC'),
              a.privilege_type, c.oid::regclass)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace, aclexplode(c.relacl) a WHERE {_OURS}
UNION ALL
SELECT format('view %s: %s', c.oid::regclass, pg_get_viewdef(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'v' AND {_OURS}
UNION ALL
SELECT format('foreign key %I of %s: %s', conname, conrelid::regclass, pg_get_constraintdef(k.oid))
FROM pg_constraint k WHERE contype = 'f' AND conparentid = 0
UNION ALL
SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = indrelid
JOIN pg_namespace n ON n.oid = relnamespace WHERE relname ~ '^tv_' AND {_OURS}
UNION ALL
SELECT format('comment on %s: %s', c.oid::regclass, obj_description(c.oid, 'pg_class'))
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE obj_description(c.oid, 'pg_class') IS NOT NULL AND {_OURS}
UNION ALL
SELECT format('comment on %s.%I: %s', c.oid::regclass, attname, col_description(c.oid, attnum))
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_attribute a ON attrelid = c.oid
WHERE attnum > 0 AND col_description(c.oid, attnum) IS NOT NULL AND {_OURS}
UNION ALL
SELECT format('policy %I on %s: %s', polname, polrelid::regclass, pg_get_expr(polqual, polrelid))
FROM pg_policy
UNION ALL
SELECT format('%s: owner %s, row security %s, kept %s', c.oid::regclass,
              c.relowner::regrole, relrowsecurity, relpersistence)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relname ~ '^tv_' AND {_OURS}
"""


def standing(b: Bench) -> set[str] | None:
    """A line for each grant, view, foreign key, index, comment and policy outside the extension.

    None where somebody's lock keeps it from being told.
    """
    with b.server.connect(b.name) as c:
        c.execute("SET search_path = pg_catalog, pg_temp; SET lock_timeout = '300ms'")
        try:
            return {str(line) for (line,) in c.execute(_LINES.encode()).fetchall()}
        except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
            return None
