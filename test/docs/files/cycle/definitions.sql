SELECT tviews.pg_tviews_create('public.tv_a', $$ SELECT b.pk_b AS pk_a, b.data FROM public.tv_b b $$);
SELECT tviews.pg_tviews_create('public.tv_b', $$ SELECT a.pk_a AS pk_b, a.data FROM public.tv_a a $$);
