-- Take stop-writes.sql back: new sessions of this database may write again.
\set ON_ERROR_STOP on
\set QUIET on
SET default_transaction_read_only = off;
SELECT format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()) \gexec
SELECT current_database() AS writes_allowed_again_in;
