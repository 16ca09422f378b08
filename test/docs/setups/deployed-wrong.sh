# A definition was replaced by a wrong one, and a trigger fell by the way.
pgtv snapshot save before.json
psql -Xq -v ON_ERROR_STOP=1 <<'END'
SELECT tviews.pg_tviews_create_or_replace('public.tv_category',
    $$SELECT c.pk_category, c.id, jsonb_build_object('n', c.name) AS data
      FROM public.tb_category c$$);
ALTER TABLE public.tb_customer DISABLE TRIGGER USER;
END
