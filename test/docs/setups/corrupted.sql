-- Registrations, a plan, a trigger and rows are not what they were; writes were stopped.
DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer';
UPDATE tviews.pg_tview_meta SET plan = '{}' WHERE entity = 'stock';
DROP TRIGGER trg_tview_row_category_on_public_tb_category ON public.tb_category;
ALTER TABLE "Sales Dept".tb_order_line DISABLE TRIGGER USER;
UPDATE public.tv_search SET data = '{}' WHERE pk_search < 20;
