"""--probe-write on the real extension: what it proves, what it leaves behind, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from planted import escaped
from servers import Database

FLUSH = "ALTER TABLE public.tb_customer DISABLE TRIGGER trg_tview_flush_{}_on_public_tb_customer;"


def probed(shop: Database, *args: str, user: str | None = None) -> tuple[int, Any, str]:
    done = shop.pgtv(
        "doctor", "--probe-write", "--only", "writes-fail", "--format", "json", *args, user=user
    )
    return done.returncode, json.loads(done.stdout)["findings"], done.stderr


def fingerprint(shop: Database) -> str:
    return shop.sql(
        "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM public.tb_customer t"
        " UNION ALL SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM public.tv_customer t"
        " UNION ALL SELECT count(*)::text FROM pg_locks WHERE pid IN ("
        "  SELECT pid FROM pg_stat_activity WHERE application_name = 'pgtv')"
    )


def test_healthy_tables_are_written_and_rolled_back(shop: Database) -> None:
    before = fingerprint(shop)
    code, findings, said = probed(shop)
    assert (code, findings) == (0, [])
    assert said.count("a write works") == 8, said
    assert fingerprint(shop) == before


@pytest.mark.parametrize(
    ("fault", "table", "sqlstate"),
    [
        # only an autocommit write fails here, at its COMMIT: seen in the queue
        (
            "".join(FLUSH.format(e) for e in ("customer", "basket", "segment")),
            "public.tb_customer",
            "55000",
        ),
        (
            "UPDATE tviews.pg_tview_meta SET plan = '{}' WHERE entity = 'stock';",
            "public.tb_category",
            "XX000",
        ),
        (
            "ALTER TABLE public.tv_customer FORCE ROW LEVEL SECURITY;"
            "ALTER TABLE public.tv_customer ENABLE ROW LEVEL SECURITY;",
            "public.tb_customer",
            "42501",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT OR UPDATE ON public.tb_category FOR EACH ROW"
            " EXECUTE FUNCTION tviews.pg_tview_trigger_handler();",
            "public.tb_category",
            "39P01",
        ),
        (
            "ALTER TABLE public.tb_customer OWNER TO postgres;"
            "REVOKE ALL ON public.tb_customer FROM shop_owner;",
            "public.tb_customer",
            "42501",
        ),
    ],
)
def test_a_write_that_fails_is_found_with_its_sqlstate(
    shop: Database, fault: str, table: str, sqlstate: str
) -> None:
    shop.sql(fault)
    code, findings, _ = probed(shop)
    assert code == 2
    found = {f["object"]: f for f in findings}
    assert found[table]["evidence"][0]["sqlstate"] == sqlstate
    assert found[table]["effect"] == "writes fail now"
    # the proof holds: the application's own autocommit write fails alike
    column = "email" if table.endswith("customer") else "name"
    with shop.connect() as application:
        import psycopg

        with pytest.raises(psycopg.Error) as error:
            application.execute(f"UPDATE {table} SET {column} = {column} || 'x'".encode())
        assert error.value.sqlstate == sqlstate


TRAP_TRIGGER = """
CREATE FUNCTION schemer.trap() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
  BEGIN PERFORM set_config('role', 'none', true); EXCEPTION WHEN OTHERS THEN NULL; END;
  PERFORM schemer.gain(); RETURN NEW; END $f$;
CREATE {} TRIGGER trap {} UPDATE ON schemer.tb_bait {} FOR EACH ROW EXECUTE FUNCTION schemer.trap();
"""
KINDS = [("", "BEFORE", ""), ("CONSTRAINT", "AFTER", "DEFERRABLE INITIALLY DEFERRED")]


@pytest.mark.both
@pytest.mark.parametrize("kind", KINDS, ids=["before", "deferred"])
def test_triggers_of_owners_run_as_the_owner(trapped: Database, kind: tuple[str, str, str]) -> None:
    trapped.sql(TRAP_TRIGGER.format(*kind), user="schemer")
    code, findings, said = probed(trapped)
    assert (code, findings) == (0, []), said
    assert "probe schemer.tb_bait: a write works" in said
    assert not escaped(trapped).exists()


@pytest.mark.both
def test_code_of_others_on_a_superusers_table_is_not_run(trapped: Database) -> None:
    trapped.sql(TRAP_TRIGGER.format(*KINDS[0]), user="schemer")
    trapped.sql("ALTER TABLE schemer.tb_bait OWNER TO postgres")
    trapped.sql("GRANT ALL ON schemer.tb_bait TO schemer")
    code, findings, said = probed(trapped)
    assert code == 3 and [f["object"] for f in findings] == ["schemer.tb_bait"], said
    assert "code of schemer would run with those rights" in findings[0]["detail"]
    assert not escaped(trapped).exists()


def test_a_trigger_that_takes_rights_which_the_owner_lacks_is_unknown(shop: Database) -> None:
    shop.sql(
        "CREATE TABLE public.audit (a int); CREATE FUNCTION public.audit() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN INSERT INTO public.audit VALUES (1); RETURN NEW; END'; CREATE TRIGGER audit BEFORE UPDATE"
        " ON public.tb_category FOR EACH ROW EXECUTE FUNCTION public.audit()"
    )
    code, findings, said = probed(shop)
    assert code == 3 and [f["object"] for f in findings] == ["public.tb_category"], said
    assert "permission denied for table audit" in findings[0]["detail"]


def test_a_login_that_may_run_programs_writes_as_the_owner(trapped: Database) -> None:
    trapped.sql(TRAP_TRIGGER.format(*KINDS[0]), user="schemer")
    role = f"powerful_{trapped.name}"
    trapped.sql(
        f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_data, pg_write_all_data, pg_monitor,"
        f" pg_execute_server_program TO {role}"
    )
    try:
        _, findings, _ = probed(trapped, user=role)
        assert any("may not act as schemer" in f["detail"] for f in findings), findings
        trapped.sql(f"GRANT schemer, shop_owner TO {role}")
        code, findings, said = probed(trapped, user=role)
        assert (code, findings) == (0, []), said
        assert not escaped(trapped).exists()
    finally:
        trapped.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_rows_that_somebody_holds_are_passed_over(shop: Database) -> None:
    with shop.connect(autocommit=False) as other:
        other.execute("SELECT FROM public.tb_customer WHERE pk_customer < 5 FOR UPDATE")
        code, findings, said = probed(shop)
    assert (code, findings) == (0, [])
    assert "probe public.tb_customer: a write works" in said


def test_a_table_that_is_locked_is_unknown_not_healthy(shop: Database) -> None:
    with shop.connect(autocommit=False) as other:
        other.execute("LOCK public.tb_category IN EXCLUSIVE MODE")
        code, findings, _ = probed(shop, "--lock-timeout", "100ms")
    assert code == 3
    assert {f["object"] for f in findings} == {"public.tb_category"}
    assert findings[0]["severity"] == "unknown"


def test_a_role_that_may_not_write_is_told_what_it_lacks(shop: Database) -> None:
    shop.sql(
        "DO $$ BEGIN CREATE ROLE looker LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"
        'GRANT pg_monitor TO looker; GRANT USAGE ON SCHEMA "Sales Dept" TO looker;'
    )
    code, findings, _ = probed(shop, user="looker")
    assert code == 3
    assert "UPDATE on public.tb_customer" in {n for f in findings for n in f["needs"]}


def test_hostile_columns_and_constraints_do_not_make_it_cry_wolf(shop: Database) -> None:
    shop.sql(
        """
        CREATE TABLE public.tb_odd (
            pk_odd bigint PRIMARY KEY, "na me"" %s" text UNIQUE CHECK (length("na me"" %s") < 3),
            kind text NOT NULL CHECK (kind = 'x'), made int GENERATED ALWAYS AS (1) STORED);
        SELECT tviews.pg_tviews_create('public.tv_odd', $q$ SELECT o.pk_odd,
            jsonb_build_object('k', o.kind, 'n', o."na me"" %s") AS data FROM public.tb_odd o $q$);
        INSERT INTO public.tb_odd VALUES (1, 'a', 'x'), (2, 'b', 'x');
        """
    )
    code, findings, said = probed(shop)
    assert (code, findings) == (0, []), said


def test_sigint_cancels_on_the_server_and_exits_130(shop: Database) -> None:
    with shop.connect(autocommit=False) as other:
        other.execute("LOCK public.tb_customer IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-m", "pgtv", "doctor", "--probe-write", "--lock-timeout", "0"],
            env=shop.server.env(shop.name), cwd=shop.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with shop.connect() as watcher:
            _until(lambda: _waiting(watcher) == 1)
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=30)
            _until(lambda: _sessions(watcher) == 0)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "interrupted" in err


def _waiting(watcher: Any) -> int:
    row = watcher.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgtv'"
        " AND wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    return int(row[0])


def _sessions(watcher: Any) -> int:
    row = watcher.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgtv'"
        " AND datname = current_database()"
    ).fetchone()
    return int(row[0])


def _until(holds: Any, timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.02)


def test_refused_on_a_standby(shop18: Database) -> None:
    standby = shop18.server.standby()
    try:
        standby.start()
        done = Database(standby, shop18.name).pgtv("doctor", "--probe-write")
    finally:
        standby.destroy()
    assert done.returncode == 3
    assert done.stdout == ""
    assert "refused on a standby" in done.stderr
