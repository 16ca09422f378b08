-- While triggers are disabled.
UPDATE public.tb_customer SET name = name || ', missed' WHERE pk_customer = 1;
