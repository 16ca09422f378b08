BEGIN;
UPDATE public.tb_product SET name = 'forgotten' WHERE pk_product = 1;
PREPARE TRANSACTION 'forgotten';
