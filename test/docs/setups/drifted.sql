-- Rows that no TVIEW's definition gives.
SET session_replication_role = replica;
UPDATE public.tv_customer SET data = '{}' WHERE pk_customer < 4;
