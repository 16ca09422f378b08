"""Functions of PostgreSQL itself whose results definitions should not hold.

Pinned system functions leave no trace in pg_depend, so their names are all there is to go by.
"""

from __future__ import annotations

# Another value at each call, on the same rows (provolatile 'v' in pg_proc of PostgreSQL 18).
VOLATILE = frozenset(
    {
        "clock_timestamp", "currval", "gen_random_uuid", "lastval", "nextval", "random",
        "random_normal", "setseed", "timeofday", "txid_current", "pg_current_xact_id",
        "pg_backend_pid", "uuidv4", "uuidv7", "uuid_generate_v1", "uuid_generate_v4",
        "gen_random_bytes", "pg_advisory_lock", "pg_advisory_xact_lock", "set_config", "setval",
        "pg_notify", "pg_sleep",
    }
)  # fmt: skip

# The same within a session or transaction, another in the next one.
SESSION = frozenset(
    {
        "current_setting", "current_database", "current_schema", "current_schemas", "current_user",
        "session_user", "user", "current_role", "current_catalog", "inet_client_addr",
        "inet_client_port", "inet_server_addr", "pg_postmaster_start_time", "version",
        "pg_is_in_recovery", "has_table_privilege", "has_column_privilege", "pg_has_role",
        "row_security_active",
    }
)  # fmt: skip

# The current time; the extension looks for these too.
TIME = frozenset(
    {"now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"}
)

# Aggregates whose result depends on the order in which rows arrive.
ORDERED_AGGREGATES = frozenset(
    {"array_agg", "json_agg", "jsonb_agg", "string_agg", "xmlagg", "json_agg_strict", "jsonb_agg_strict"}
)  # fmt: skip
