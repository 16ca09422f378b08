"""A function in pg_temp that runs statements as a role, whatever the login that calls it may do.

It is SECURITY DEFINER, and there PostgreSQL refuses to change the role. That is all that it refuses.
Code that runs inside may still leave in the session, for the login's own statements to meet: settings
(a plain SET outlives the function's own SET clause; search_path decides which operators and types those
statements find), another function in place of this one (it belongs to the role), cursors WITH HOLD and
deferred triggers (both run at COMMIT as the login, triggers before PostgreSQL 18), and relations in
pg_temp. So after a call the login says nothing that finds its objects by name before the transaction
has been rolled back, or was left clean.
"""

from __future__ import annotations

from collections.abc import Mapping

from pgtv.catalog.dialects.base import ident, literal

EVENT_TRIGGERS_SINCE = 170000  # the setting that switches event triggers off

# What the extension's refresh computes under.
RENDERED = {
    "TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres",
    "extra_float_digits": "1", "bytea_output": "hex", "row_security": "on",
}  # fmt: skip

# One query; its rows.
ASK = ("pg_catalog.text", "BEGIN RETURN QUERY EXECUTE $1; END")

# Several statements, each with a snapshot of its own that sees what the others wrote; the rows of each,
# with NULL behind them.
DO = (
    "pg_catalog.text[]",
    "DECLARE s pg_catalog.text; BEGIN FOREACH s IN ARRAY $1 LOOP"
    " SET LOCAL search_path = pg_catalog, pg_temp; RETURN QUERY EXECUTE s; RETURN NEXT NULL; END LOOP; END",
)

# A statement, and a query of what it left behind: how many rows it changed, what was deferred has run,
# and the rows of the query.
TRY = (
    "pg_catalog.text, pg_catalog.text",
    "DECLARE n pg_catalog.int8; BEGIN EXECUTE $1; GET DIAGNOSTICS n = ROW_COUNT;"
    " SET CONSTRAINTS ALL IMMEDIATE; RETURN NEXT n;"
    " IF $2 IS NOT NULL THEN RETURN QUERY EXECUTE $2; END IF; END",
)


def made(
    name: str, kind: tuple[str, str], role: str, *, superuser: bool, settings: Mapping[str, str]
) -> list[str]:
    """The statements that make the function, in a transaction in which nothing confined ran yet.

    A login that is no superuser makes it as the role, so that this one needs TEMP on the database.
    """
    arguments, body = kind
    pins = "".join(f" SET {ident(k)} = {literal(v)}" for k, v in settings.items())
    signature = f"pg_temp.{name}({arguments})"
    create = (
        f"CREATE FUNCTION {signature} RETURNS SETOF pg_catalog.text LANGUAGE plpgsql SECURITY DEFINER"
        f" SET search_path = pg_catalog, pg_temp{pins} AS {literal(body)}"
    )
    if superuser:
        return [create, f"ALTER FUNCTION {signature} OWNER TO {ident(role)}"]
    return [
        f"SET LOCAL ROLE {ident(role)}",
        create,
        f"GRANT EXECUTE ON FUNCTION {signature} TO PUBLIC",
        "SET LOCAL ROLE NONE",
    ]
