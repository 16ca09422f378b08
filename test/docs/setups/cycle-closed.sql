-- A plain view in between is replaced, and reads a TVIEW that reads it.
CREATE OR REPLACE VIEW public.v_open_order AS
SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o
WHERE o.status = 'open'
  AND EXISTS (SELECT 1 FROM public.tv_basket b WHERE b.pk_basket = o.fk_customer);
