-- A slot that nobody reads.
SELECT pg_create_physical_replication_slot('left_over', true);
