-- The schema `pgtv` from version 2 to 3: what the next verification can build on.
-- Run by `pgtv init --apply` where version 2 stands, as the schema's owner; records stay.
ALTER TABLE pgtv.verification ADD COLUMN baseline jsonb;   -- what verify --since last can build on

UPDATE ONLY pgtv.installation SET version = 3;
