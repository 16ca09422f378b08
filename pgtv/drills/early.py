"""The shop as a release before the current generation has it, for upgrades from there.

Its TVIEWs are tables that are created as such, and embed each other's views. It runs on PostgreSQL 15,
where no current release does.
"""

from __future__ import annotations

from pgtv.drills.statements import Break

RELEASE, MAJOR = "0.1.0-beta.19", 15
_FIRST = "SELECT tviews."  # where the shop's tables end and its TVIEWs begin
TVIEWS = Break("""
RESET ROLE;
CREATE TABLE public.tv_category AS SELECT c.pk_category, c.id,
    jsonb_build_object('id', c.id, 'name', c.name) AS data FROM public.tb_category c;
CREATE TABLE public.tv_product AS SELECT p.pk_product, p.id, p.fk_category,
    jsonb_build_object('id', p.id, 'name', p.name, 'price', p.price, 'category', vc.data) AS data
    FROM public.tb_product p JOIN public.v_category vc ON vc.pk_category = p.fk_category;
CREATE TABLE public.tv_customer AS SELECT c.pk_customer, c.id,
    jsonb_build_object('id', c.id, 'name', c.name, 'email', c.email) AS data FROM public.tb_customer c;
""")
GRANTS = Break("""
GRANT SELECT ON public.pg_tview_meta, public.v_category, public.v_product, public.v_customer TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON public.tv_category, public.tv_product, public.tv_customer TO {role};
""")


def shop(current: str) -> str:
    """The tables and rows of the current shop, and TVIEWs over some of them."""
    return current.partition(_FIRST)[0] + TVIEWS.sql


def grants(role: str) -> str:
    """What a role needs who writes base tables: that release refreshes as whoever writes."""
    return GRANTS.sql.format(role=role)
