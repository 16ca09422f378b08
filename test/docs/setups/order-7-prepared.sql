-- What is prepared over an UNLOGGED TVIEW.
BEGIN;
INSERT INTO public.tb_product (fk_category, name, price) VALUES (1, 'prepared', 1);
PREPARE TRANSACTION 'order-7';
