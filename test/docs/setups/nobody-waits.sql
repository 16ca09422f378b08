-- It was ended, and the session that waited has written; a row drifted meanwhile.
ROLLBACK PREPARED 'held-up';
SET session_replication_role = replica;
UPDATE public.tv_category SET data = '{}' WHERE pk_category = 1;
