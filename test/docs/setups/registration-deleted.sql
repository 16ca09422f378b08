DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer';
UPDATE public.tb_customer SET name = 'Ann Other' WHERE pk_customer = 1;
