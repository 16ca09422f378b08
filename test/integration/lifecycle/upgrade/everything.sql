-- TVIEWs with every option, comment and grant that detaching has to keep; on top of the shop.
SET ROLE shop_owner;
CREATE FUNCTION public.first_category() RETURNS text LANGUAGE sql STABLE
AS 'SELECT min(name) FROM public.tb_category';
SELECT tviews.pg_tviews_create('public.tv_offer', $$
    SELECT p.pk_product AS pk_offer,
           jsonb_build_object('first', public.first_category(), 'n', p.name, 'it''s', E'a\\b') AS data
    FROM public.tb_product p $$,
    '{"function_reads": {"public.first_category()": ["public.tb_category"]}, "fillfactor": 77,
      "uncascaded_policy": "full_refresh", "typename": "SpecialOffer", "indexes": [["n"]]}');
SELECT tviews.pg_tviews_create('public.tv_spent', $$
    SELECT o.fk_customer AS pk_spent, jsonb_build_object('orders', count(*)) AS data
    FROM "Sales Dept".tb_order o GROUP BY o.fk_customer $$,
    '{"group_keys": {"tb_order": "fk_customer"}}');
RESET ROLE;
-- its backing view's name is over 63 bytes
CREATE SCHEMA "Odd ""schema"" 😀.x" AUTHORIZATION shop_owner;
SET ROLE shop_owner;
SELECT tviews.pg_tviews_create('"Odd ""schema"" 😀.x"."tv_Größe_with_a_name_as_long_as_one_may_make_it"', $$
    SELECT p.pk_product AS "pk_Größe_with_a_name_as_long_as_one_may_make_it",
           jsonb_build_object('$1 %s', p.name) AS data
    FROM public.tb_product p $$);
RESET ROLE;
DO $$ BEGIN CREATE ROLE "Reader ""x""" NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT SELECT ON public.tv_offer TO PUBLIC;
GRANT SELECT ON public.tv_customer TO "Reader ""x""" WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION tviews.pg_tviews_refresh_all() TO "Reader ""x""";
REVOKE EXECUTE ON FUNCTION tviews.pg_tviews_version() FROM PUBLIC;
CREATE INDEX "my own" ON public.tv_customer ((data->>'name'));
CREATE POLICY p ON public.tv_customer USING (true);
COMMENT ON TABLE public.tv_customer IS 'of the customers';
COMMENT ON VIEW tviews.public__tv_customer IS 'it''s a view';
CREATE VIEW public.reader AS SELECT * FROM public.tv_customer;
