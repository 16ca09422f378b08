CREATE OR REPLACE VIEW public.v_open_order AS
SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o
WHERE o.status IN ('open', 'paid');
