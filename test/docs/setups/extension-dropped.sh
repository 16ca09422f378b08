pgtv snapshot save nightly.json
psql -Xqc "DROP EXTENSION pg_tviews CASCADE;
UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 1;"
