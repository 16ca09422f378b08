-- A prepared transaction holds rows that a session then waits for.
BEGIN;
UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 1;
PREPARE TRANSACTION 'held-up';
