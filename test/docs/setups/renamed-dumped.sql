ALTER TABLE public.tb_customer RENAME TO tb_client;
