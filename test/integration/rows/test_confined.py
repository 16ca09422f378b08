"""A definition that tries to escape its owner's rights, or to write, gets neither."""

from __future__ import annotations

import json
from typing import Any

import pytest
from planted import arm, escaped
from servers import Database

ESCAPES = {
    "set_config": "PERFORM set_config('role', 'none', false);",
    "reset role": "EXECUTE 'RESET ROLE';",
    "set role": "EXECUTE 'SET ROLE postgres';",
    "session authorization": "EXECUTE 'SET SESSION AUTHORIZATION postgres';",
    "reset authorization": "EXECUTE 'RESET SESSION AUTHORIZATION';",
    "session_authorization by set_config":
        "PERFORM set_config('session_authorization', 'default', false);",
    "writable again": "PERFORM set_config('transaction_read_only', 'off', true);",
    "set transaction": "EXECUTE 'SET TRANSACTION READ WRITE';",
    "write": "INSERT INTO public.loot VALUES ('written');",
    "alter role": "EXECUTE 'ALTER ROLE schemer SUPERUSER';",
    "replace the evaluator": "EXECUTE 'CREATE OR REPLACE FUNCTION pg_temp.pgtv_ask_0(text) RETURNS "
        "SETOF text LANGUAGE sql SECURITY INVOKER AS ''SELECT current_user::text''';",
    "read a file": "PERFORM pg_catalog.pg_read_file('/etc/passwd');",
    "program": "EXECUTE 'COPY (SELECT 1) TO PROGRAM ''true''';",
}  # fmt: skip


SEARCH_PATH = "PERFORM set_config('search_path', 'evil, pg_catalog, pg_temp', false);"


def verify(database: Database, *args: str, user: str | None = None) -> dict[str, Any]:
    done = database.pgtv("verify", "tv_bait", "--format", "json", *args, user=user)
    assert "Traceback" not in done.stderr, done.stderr
    (result,) = json.loads(done.stdout)["tviews"]
    assert isinstance(result, dict)
    return result


def test_the_harmless_definition_is_equal_and_evaluated_as_its_owner(planted: Database) -> None:
    result = verify(planted)
    assert (result["state"], result["evaluated_as"]) == ("equal", "schemer")


@pytest.mark.parametrize("attack", ESCAPES)
def test_an_attack_is_unknown_and_changes_nothing(planted: Database, attack: str) -> None:
    arm(planted, ESCAPES[attack])
    before = planted.sql("SELECT pg_current_xact_id_if_assigned() IS NULL, count(*) FROM loot")
    result = verify(planted)
    assert result["state"] == "unknown", result
    assert "escaped" not in result["reason"]
    assert planted.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'schemer'").strip() == "f"
    assert (
        planted.sql("SELECT pg_current_xact_id_if_assigned() IS NULL, count(*) FROM loot") == before
    )


@pytest.mark.parametrize("attack", ["set_config", "set role", "session authorization"])
def test_swallowed_attacks_still_do_not_escape(planted: Database, attack: str) -> None:
    """Planted code may catch its error: then nothing was gained, and the rows can be compared."""
    arm(planted, f"BEGIN {ESCAPES[attack]} EXCEPTION WHEN OTHERS THEN NULL; END;")
    assert verify(planted)["state"] == "equal"


def test_set_role_alone_would_have_been_escaped(planted: Database) -> None:
    """The control: what these tests guard against does happen without the function."""
    arm(planted, ESCAPES["set_config"])
    with planted.connect(autocommit=False) as superuser:
        superuser.execute("SET TRANSACTION READ ONLY")
        superuser.execute("SET LOCAL ROLE schemer")
        with pytest.raises(Exception, match="escaped as postgres"):
            superuser.execute("SELECT * FROM tviews.schemer__tv_bait")


def test_operators_casts_and_policies_are_confined_too(planted: Database) -> None:
    arm(planted, ESCAPES["set_config"])
    planted.sql(
        """
        CREATE TYPE schemer.odd AS (a int);
        CREATE FUNCTION schemer.odd_to_json(schemer.odd) RETURNS json LANGUAGE plpgsql IMMUTABLE
            AS $$ BEGIN PERFORM schemer.evil('x'); RETURN '1'; END $$;
        CREATE CAST (schemer.odd AS json) WITH FUNCTION schemer.odd_to_json(schemer.odd) AS IMPLICIT;
        CREATE FUNCTION schemer.odd_eq(schemer.odd, schemer.odd) RETURNS boolean LANGUAGE plpgsql
            IMMUTABLE AS $$ BEGIN PERFORM schemer.evil('x'); RETURN true; END $$;
        CREATE OPERATOR schemer.= (LEFTARG = schemer.odd, RIGHTARG = schemer.odd,
                                   FUNCTION = schemer.odd_eq);
        CREATE TABLE schemer.tb_odd (pk_odd bigint PRIMARY KEY, o schemer.odd);
        INSERT INTO schemer.tb_odd VALUES (1, ROW(1)), (2, ROW(2));
        SELECT tviews.pg_tviews_create('schemer.tv_odd', $$
            SELECT b.pk_odd, b.o, jsonb_build_object('k', b.pk_odd) AS data FROM schemer.tb_odd b $$);
        """,
        user="schemer",
    )
    planted.sql("SET session_replication_role = replica; UPDATE schemer.tv_odd SET o = ROW(5);")
    done = planted.pgtv("verify", "tv_odd", "--format", "json")
    (result,) = json.loads(done.stdout)["tviews"]
    assert result["state"] == "differs" and result["changed"] == 2, result
    planted.sql(
        """
        ALTER TABLE schemer.tb_odd ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY p ON schemer.tb_odd USING (schemer.evil('x') IS NOT NULL);
        """,
        user="schemer",
    )
    done = planted.pgtv("verify", "tv_odd", "--format", "json")
    (result,) = json.loads(done.stdout)["tviews"]
    assert result["state"] == "unknown" and "escaped" not in result["reason"], result


def test_a_superusers_tview_is_read_as_pg_read_all_data(planted: Database) -> None:
    arm(
        planted,
        "BEGIN PERFORM set_config('role','none',false); EXCEPTION WHEN OTHERS THEN NULL; END;",
    )
    planted.sql("ALTER TABLE schemer.tv_bait OWNER TO postgres;")
    planted.sql("GRANT USAGE ON SCHEMA schemer TO PUBLIC;")
    assert verify(planted)["evaluated_as"] == "pg_read_all_data"


def test_role_must_not_be_a_superuser(planted: Database) -> None:
    result = verify(planted, "--role", "postgres")
    assert result["state"] == "unknown" and "superuser" in result["reason"]


def test_a_login_that_may_become_a_superuser_is_confined(planted: Database) -> None:
    planted.sql(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'almost') THEN"
        " CREATE ROLE almost LOGIN NOINHERIT; END IF; END $$; GRANT postgres, schemer TO almost;"
        "GRANT pg_read_all_data TO almost WITH INHERIT TRUE"
        if planted.server.major >= 16
        else ""
    )
    arm(planted, ESCAPES["set role"])
    result = verify(planted, user="almost")
    assert result["state"] == "unknown" and "escaped" not in result["reason"]
    assert "cannot set parameter" in result["reason"]


@pytest.mark.both
@pytest.mark.parametrize("args", [(), ("--since", "last")])
def test_a_path_that_a_definition_leaves_behind_gains_nothing(
    trapped: Database, args: tuple[str, ...]
) -> None:
    """What is asked after the comparison, for the next time: `pgtv init` was run."""
    assert trapped.pgtv("init", "--apply").returncode == 0
    assert verify(trapped, *args)["state"] == "equal"
    arm(trapped, SEARCH_PATH)
    assert verify(trapped, *args)["state"] == "equal"
    assert verify(trapped)["state"] == "equal"
    assert not escaped(trapped).exists()


@pytest.mark.both
def test_the_rights_that_a_login_inherits_are_not_the_definitions(trapped: Database) -> None:
    """It is no superuser; it runs programs as the server does all the same."""
    role = f"powerful_{trapped.name}"
    trapped.sql(
        f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_data, pg_execute_server_program TO {role}"
    )
    arm(trapped, "PERFORM schemer.gain();")
    try:
        result = verify(trapped, user=role)
        assert not escaped(trapped).exists()
        assert result["state"] == "unknown", result
        assert "pg_execute_server_program" in result["reason"]
        assert f'GRANT "schemer" TO "{role}"' in result["hint"]
        asked = verify(trapped, "--role", "pg_read_all_data", user=role)
        assert (asked["state"], asked["evaluated_as"]) == ("equal", "pg_read_all_data"), asked
        trapped.sql(f"GRANT schemer TO {role}")
        result = verify(trapped, user=role)
        assert (result["state"], result["evaluated_as"]) == ("equal", "schemer"), result
        result = verify(trapped, "--role", role)
        assert result["state"] == "unknown" and "has the rights of" in result["reason"], result
        assert not escaped(trapped).exists()
    finally:
        trapped.sql(f"DROP ROLE {role}")


def test_verifying_leaves_nothing_behind_and_a_confined_login_uses_no_xid(shop: Database) -> None:
    shop.sql(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN"
        " CREATE ROLE reader LOGIN; END IF; END $$; GRANT pg_read_all_data TO reader;"
    )
    functions = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'pgtv%'"
    next_xid = "SELECT pg_snapshot_xmax(pg_current_snapshot())"
    used = set()
    for _ in range(3):  # autovacuum takes one now and then, a login that needs one takes it always
        before = int(shop.sql(next_xid))
        done = shop.pgtv("verify", user="reader")
        assert done.returncode == 0, done.stdout + done.stderr
        used.add(int(shop.sql(next_xid)) - before)
    assert 0 in used
    assert shop.pgtv("verify").returncode == 0
    assert shop.sql(functions).strip() == "0"
