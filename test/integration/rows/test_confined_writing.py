"""A merge by a superuser: what a definition's code leaves behind in the session gets it nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from planted import arm, escaped
from servers import Database

from pgtv.errors import ClusterError
from pgtv.rows.writer import Writer
from pgtv.session import connect

DRIFT = (
    "SET session_replication_role = replica;"
    " UPDATE schemer.tv_bait SET t = 'wrong' WHERE pk_bait = 1;"
    " DELETE FROM schemer.tv_bait WHERE pk_bait = 2"
)
_OURS = (
    "DECLARE f regprocedure; BEGIN FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'pgtv%'"
    " AND pronamespace OPERATOR(pg_catalog.=) pg_my_temp_schema() LOOP {} END LOOP; END;"
)
_EVENT = (
    "CREATE TEMP TABLE IF NOT EXISTS again (a int);"
    " IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'late' AND tgrelid = 'again'::regclass)"
    " THEN CREATE CONSTRAINT TRIGGER late AFTER INSERT ON pg_temp.again DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION schemer.gain_late(); END IF; INSERT INTO pg_temp.again VALUES (0);"
)
LEFT_BEHIND = {
    "search_path": "PERFORM set_config('search_path', 'evil, pg_catalog, pg_temp', false);",
    "search_path of types":
        "PERFORM set_config('search_path', 'evil_types, pg_catalog, pg_temp', false);",
    "search_path of the transaction":
        "PERFORM set_config('search_path', 'evil, pg_catalog, pg_temp', true);",
    "our function runs as its caller":
        _OURS.format("EXECUTE 'ALTER FUNCTION ' || f || ' SECURITY INVOKER';"),
    "our function is another": "CREATE OR REPLACE FUNCTION pg_temp.pgtv_write(text) RETURNS SETOF"
        " text LANGUAGE sql AS 'SELECT schemer.gain()::text';"
        " CREATE OR REPLACE FUNCTION pg_temp.pgtv_write(text[]) RETURNS SETOF"
        " text LANGUAGE sql AS 'SELECT schemer.gain()::text';",
    "a cursor that outlives its transaction":
        "IF NOT EXISTS (SELECT FROM pg_cursors WHERE name = 'held') THEN"
        " EXECUTE 'DECLARE held CURSOR WITH HOLD FOR SELECT schemer.gain()'; END IF;",
    "a deferred trigger": _EVENT,
    "a deferred trigger, and a path": _EVENT
        + "PERFORM set_config('search_path', 'evil, pg_catalog, pg_temp', false);",
}  # fmt: skip
DEFERRED_TRIGGER = """
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON schemer.tv_bait
DEFERRABLE INITIALLY {} FOR EACH ROW EXECUTE FUNCTION schemer.gain_late();
"""


def refresh(database: Database, *args: str, user: str | None = None) -> dict[str, Any]:
    done = database.pgtv("refresh", "tv_bait", "--apply", "--format", "json", *args, user=user)
    assert "Traceback" not in done.stderr, done.stderr
    (one,) = json.loads(done.stdout)["tviews"]
    assert isinstance(one, dict)
    return one


def right(database: Database) -> bool:
    rows = database.sql("SELECT pk_bait, t FROM schemer.tv_bait ORDER BY 1")
    return rows == "1|a\n2|b\n"


@pytest.mark.both
@pytest.mark.parametrize("left", LEFT_BEHIND)
def test_what_planted_code_leaves_behind_gains_nothing(trapped: Database, left: str) -> None:
    arm(trapped, f"BEGIN {LEFT_BEHIND[left]} EXCEPTION WHEN OTHERS THEN NULL; END;")
    trapped.sql(DRIFT)
    one = refresh(trapped)
    assert not escaped(trapped).exists()
    if "deferred" in left:
        assert one["end"] == "unknown" and "again" in one["reason"], one
    else:
        assert one["end"] == "merged" and right(trapped), one


@pytest.mark.both
@pytest.mark.parametrize("initially", ["DEFERRED", "IMMEDIATE"])
def test_a_deferrable_trigger_of_the_table_does_not_run_as_the_superuser(
    trapped: Database, initially: str
) -> None:
    trapped.sql(DEFERRED_TRIGGER.format(initially), user="schemer")
    trapped.sql(DRIFT)
    one = refresh(trapped)
    assert not escaped(trapped).exists()
    assert one["end"] == "unknown" and "schemer.tv_bait" in one["reason"], one
    assert "log in as schemer" in trapped.pgtv("refresh", "tv_bait", "--apply").stderr
    assert refresh(trapped, user="schemer")["end"] == "merged" and right(trapped)
    assert not escaped(trapped).exists()


def test_a_session_is_as_it_was_after_each_batch(trapped: Database) -> None:
    """Settings, cursors and what is in pg_temp; one that is still armed meets the next TVIEW."""
    arm(
        trapped,
        "PERFORM set_config(n, v, false) FROM (VALUES ('search_path', 'evil'),"
        " ('TimeZone', 'Asia/Tokyo'), ('default_transaction_read_only', 'on'),"
        " ('transform_null_equals', 'on'), ('statement_timeout', '1h'),"
        " ('client_encoding', 'LATIN1')) x(n, v);"
        " SET LOCAL search_path = pg_catalog; CREATE TEMP TABLE IF NOT EXISTS pg_locks (a int);"
        + LEFT_BEHIND["a cursor that outlives its transaction"],
    )
    trapped.sql(DRIFT)
    # not those of plpgsql, which is loaded by then
    settings = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name NOT LIKE '%.%'"
    left = (
        "SELECT (SELECT count(*) FROM pg_catalog.pg_cursors WHERE name = 'held'), (SELECT count(*)"
        " FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()),"
        " (SELECT count(*) FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema())"
    )
    with connect(trapped.target(), read_only=False) as session, connect(trapped.target()) as aside:
        before = session.execute(settings.encode()).fetchall()
        writer = Writer(session, aside, "schemer")
        assert writer.look("SELECT t FROM tviews.schemer__tv_bait ORDER BY 1") == ["a", "b"]
        insert = (
            "INSERT INTO schemer.tv_bait (pk_bait, t, data) SELECT pk_bait, t, data"
            " FROM tviews.schemer__tv_bait ON CONFLICT DO NOTHING"
        )
        for _ in range(2):
            assert writer.write(["SELECT 'x'", f"{insert} RETURNING t"], 1000)[0] == ["x"]
            assert session.execute(settings.encode()).fetchall() == before
            assert session.execute(left.encode()).fetchone() == (0, 0, 0)


@pytest.mark.both
def test_a_login_with_more_rights_than_owners_is_confined_too(trapped: Database) -> None:
    """It is no superuser, and inherits what runs programs as the server does."""
    role = f"powerful_{trapped.name}"
    trapped.sql(
        f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_data, pg_execute_server_program TO {role}"
    )
    arm(trapped, "PERFORM schemer.gain();" + LEFT_BEHIND["search_path"])
    trapped.sql(DRIFT)
    try:
        refused = refresh(trapped, user=role)
        assert refused["end"] == "unknown" and "may not act as schemer" in refused["reason"]
        trapped.sql(f"GRANT schemer TO {role} WITH INHERIT FALSE")
        assert refresh(trapped, user=role)["end"] == "merged" and right(trapped)
        asked = refresh(trapped, "--role", role)
        assert asked["end"] == "unknown" and "has the rights of" in asked["reason"]
        assert not escaped(trapped).exists()
    finally:
        trapped.sql(f"DROP ROLE {role}")


@pytest.mark.both
def test_an_owner_does_not_become_another_by_the_acting_role(trapped: Database, root: Path) -> None:
    """A login that is a member of several owners, as roles/acting makes it."""
    role = f"actor_{trapped.name}"
    trapped.program(
        "psql", "-Xq", "-v", f"role={role}", "-f", str(root / "sql" / "roles" / "acting.sql")
    )
    trapped.sql(
        "CREATE TABLE public.secret (who text); ALTER TABLE public.secret OWNER TO shop_owner;"
        " INSERT INTO public.secret VALUES ('of shop_owner')"
    )
    arm(
        trapped,
        "BEGIN PERFORM set_config('role', 'none', true); UPDATE public.secret SET who = 'schemer''s';"
        " EXCEPTION WHEN OTHERS THEN NULL; END;",
    )
    trapped.sql(DRIFT)
    try:
        assert refresh(trapped, user=role)["end"] == "merged" and right(trapped)
        assert trapped.sql("SELECT who FROM public.secret").strip() == "of shop_owner"
        trapped.sql(f"REVOKE TEMP ON DATABASE {trapped.name} FROM PUBLIC; {DRIFT}")
        lacking = refresh(trapped, user=role)
        assert lacking["end"] == "unknown"
        assert lacking["reason"].startswith("schemer lacks TEMP on the database")
        trapped.program(
            "psql", "-Xq", "-v", f"role={role}", "-f", str(root / "sql" / "roles" / "acting.sql")
        )
        assert refresh(trapped, user=role)["end"] == "merged" and right(trapped)
    finally:
        trapped.sql(f"DROP TABLE public.secret; DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.both
@pytest.mark.parametrize(
    "left", [None, "a cursor that outlives its transaction", "a deferred trigger"]
)
def test_the_extensions_own_refresh_is_restricted(trapped: Database, left: str | None) -> None:
    """What SECURITY says of it: by a write, by its function, and by what refresh-all does."""
    arm(trapped, LEFT_BEHIND[left] if left else "PERFORM set_config('role', 'none', false);")
    refused = "within security-(definer function|restricted operation)"
    for refreshing in (
        "UPDATE schemer.tb_bait SET t = t || 'x'",
        "SELECT tviews.pg_tviews_refresh('schemer.tv_bait')",
        "CREATE TEMP TABLE n (); CREATE TRIGGER n AFTER TRUNCATE ON n FOR EACH STATEMENT"
        " EXECUTE FUNCTION tviews.pg_tview_truncate_trigger('bait'); TRUNCATE n",
    ):
        with pytest.raises(ClusterError, match=refused):
            trapped.sql(refreshing)
    assert not escaped(trapped).exists()


@pytest.mark.both
def test_event_triggers_see_what_a_definition_does_and_not_our_function(trapped: Database) -> None:
    trapped.sql(
        """
        CREATE TABLE public.seen (tag text);
        GRANT INSERT ON public.seen TO PUBLIC;
        CREATE FUNCTION public.see() RETURNS event_trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.seen VALUES (tg_tag); END';
        CREATE EVENT TRIGGER see ON ddl_command_end EXECUTE FUNCTION public.see();
        """
    )
    arm(trapped, "CREATE TEMP TABLE IF NOT EXISTS theirs (a int);")
    trapped.sql(f"TRUNCATE public.seen; {DRIFT}")
    assert refresh(trapped)["end"] == "merged"
    # the note that rows are owed is a comment, written by pgtv's own statement
    assert (
        trapped.sql("SELECT DISTINCT tag FROM public.seen ORDER BY 1") == "COMMENT\nCREATE TABLE\n"
    )
