-- What a restore, an apply worker or a loader does.
SET session_replication_role = replica;
UPDATE public.tb_customer SET name = 'Ann Other' WHERE pk_customer = 7;
