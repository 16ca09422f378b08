BEGIN;
UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 1;
PREPARE TRANSACTION 'bank-42';
