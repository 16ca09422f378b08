ALTER TABLE public.tb_customer DISABLE TRIGGER USER;
UPDATE public.tb_customer SET name = 'loaded' WHERE pk_customer < 20;
ALTER TABLE public.tb_customer ENABLE TRIGGER USER;
