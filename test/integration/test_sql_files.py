"""sql/emergency and sql/monitoring: each file runs by psql alone, and does what its comment says."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path

import psycopg
import pytest
from own_triggers import OWN_STATES, OWN_TRIGGERS
from servers import REAL_MAJORS, ROOT, Database, until

from pgtv.errors import ClusterError

# 16 has its own files on the stand-in as well: test_sql_files_lab
pytestmark = [
    pytest.mark.both,
    pytest.mark.parametrize(
        "real_server",
        [*REAL_MAJORS, pytest.param(16, marks=pytest.mark.whole)],
        ids=lambda m: f"pg{m}", indirect=True, scope="session",
    ),
]  # fmt: skip

EMERGENCY = ROOT / "sql" / "emergency"
MONITORING = sorted((ROOT / "sql" / "monitoring").glob("*.sql"))
DRIFT = """
BEGIN;
DELETE FROM public.tv_category WHERE pk_category = 1;
UPDATE public.tv_product SET data = '{}' WHERE pk_product < 5;
DELETE FROM "Sales Dept".tv_order WHERE pk_order < 3;
COMMIT;
"""


def run(database: Database, *names: str) -> str:
    return "".join(database.sql((EMERGENCY / n).read_text()) for n in names)


def test_refresh_all_brings_every_row_beside_a_reader(shop: Database) -> None:
    shop.sql(DRIFT)
    assert shop.pgtv("verify").returncode == 2
    with shop.connect(autocommit=False) as reader:
        # would keep any ACCESS EXCLUSIVE waiting, and fail it by lock_timeout
        reader.execute("SELECT 1 FROM public.tv_category, public.tv_product LIMIT 1")
        reader.execute('SELECT 1 FROM "Sales Dept".tv_order, "Sales Dept".tv_order_line LIMIT 1')
        run(shop, "refresh-all.sql")
    assert shop.pgtv("verify").returncode == 0


def test_refresh_all_needs_no_superuser(shop: Database) -> None:
    role, acting = f"actor_{shop.name}", str(ROOT / "sql" / "roles" / "acting.sql")
    shop.sql(DRIFT)
    try:
        shop.program("psql", "-Xq", "-v", f"role={role}", "-f", acting)
        shop.sql(f"ALTER ROLE {role} LOGIN")
        shop.sql((EMERGENCY / "refresh-all.sql").read_text(), user=role)
        assert shop.pgtv("verify").returncode == 0
    finally:
        shop.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_disable_and_enable_keep_what_was_disabled_before(shop: Database) -> None:
    shop.sql(
        "ALTER TABLE public.tb_category DISABLE TRIGGER trg_tview_row_category_on_public_tb_category"
    )
    shop.sql(  # a copy on a partition, while its parent's stays enabled
        "DO $$ DECLARE copy name; BEGIN SELECT tgname INTO STRICT copy FROM pg_trigger"
        " WHERE tgparentid <> 0 AND NOT tgisinternal"
        " AND tgrelid = 'public.tb_stock_move_2025'::regclass ORDER BY tgname LIMIT 1;"
        " EXECUTE format('ALTER TABLE public.tb_stock_move_2025 DISABLE TRIGGER %I', copy); END $$"
    )
    states = "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger ORDER BY 1, 2"
    before = shop.sql(states)
    run(shop, "disable-triggers.sql")
    run(shop, "disable-triggers.sql")
    shop.sql("UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 4")
    stale = "SELECT count(*) FROM public.tv_customer WHERE data->>'name' = 'missed'"
    assert shop.sql(stale) == "0\n"
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 2
    run(shop, "enable-triggers.sql", "refresh-all.sql")
    assert shop.sql(states) == before
    assert shop.sql(stale) == "1\n"
    assert shop.pgtv("verify").returncode == 0
    assert "nothing was disabled" in run(shop, "enable-triggers.sql")


def test_triggers_of_the_users_own_keep_their_states(shop: Database) -> None:
    shop.sql(OWN_TRIGGERS)
    before = shop.sql(OWN_STATES)
    assert before.split() == ["own_always|A", "own_disabled|D", "own_enabled|O", "trg_tview_own|O"]
    run(shop, "disable-triggers.sql")
    assert shop.sql(OWN_STATES) == before
    shop.sql("UPDATE public.tb_customer SET name = 'seen' WHERE pk_customer = 4")
    assert shop.sql("SELECT count(*) FROM public.own_log") == "3\n", "they fire meanwhile"
    run(shop, "enable-triggers.sql", "refresh-all.sql")
    assert shop.sql(OWN_STATES) == before


def test_disabling_behind_an_open_writer_fails_whole(shop: Database) -> None:
    with shop.connect(autocommit=False) as writer:
        writer.execute("UPDATE public.tb_customer SET name = 'w' WHERE pk_customer = 1")
        quick = (EMERGENCY / "disable-triggers.sql").read_text().replace("'5s'", "'100ms'")
        with pytest.raises(ClusterError, match="lock timeout"):
            shop.sql(quick)
        writer.rollback()
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 0


def test_stop_and_allow_writes(shop: Database) -> None:
    write = "UPDATE public.tb_customer SET name = 'still' WHERE pk_customer = 1"
    with shop.connect() as connected:
        said = run(shop, "stop-writes.sql")
        connected.execute(write)  # who is connected already, until that session is ended
        (end,) = re.findall(rf"SELECT pg_terminate_backend\({connected.info.backend_pid}\);", said)
        shop.sql(end)
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            connected.execute(write)
    with pytest.raises(ClusterError, match="read-only transaction"):
        shop.sql("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1")
    assert shop.pgtv("doctor", "--only", "read-only-default").returncode == 1
    # what cures goes on meanwhile
    run(shop, "disable-triggers.sql", "enable-triggers.sql", "refresh-all.sql")
    run(shop, "allow-writes.sql")
    shop.sql("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1")


def test_who_blocks_whom_names_a_prepared_transaction(shop: Database) -> None:
    shop.sql(
        "BEGIN; UPDATE public.tb_customer SET name = 'p' WHERE pk_customer = 1;"
        " PREPARE TRANSACTION 'forgotten'"
    )

    def wait(session: psycopg.Connection[object]) -> None:
        with contextlib.suppress(psycopg.errors.QueryCanceled):
            session.execute("UPDATE public.tb_customer SET name = 'w' WHERE pk_customer = 1")

    with shop.connect() as session:
        thread = threading.Thread(target=wait, args=(session,), daemon=True)
        thread.start()
        with shop.connect() as watcher:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            until(lambda: watcher.execute(waiting).fetchone() != (0,))
        try:
            said = run(shop, "who-blocks-whom.sql")
            assert "forgotten" in said
            assert str(session.info.backend_pid) in said
        finally:
            session.cancel_safe(timeout=5)
            thread.join(10)


def test_save_evidence(shop: Database, tmp_path: Path) -> None:
    folder = shop.folder / "evidence"
    folder.mkdir()
    folder.chmod(0o777)
    script = (EMERGENCY / "save-evidence.sql").read_text().replace(" TO '", f" TO '{folder}/")
    shop.sql(script)
    saved = {p.name for p in folder.iterdir()}
    assert {"locks.csv", "activity.csv", "registrations.csv", "triggers.csv"} <= saved
    assert (folder / "registrations.csv").read_text().count("\n") >= 10


def test_save_evidence_saves_the_rest_when_the_extension_is_gone(shop: Database) -> None:
    folder = shop.folder / f"evidence-{shop.name}"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "locks.csv").mkdir()  # cannot be written by psql
    shop.sql("DROP EXTENSION pg_tviews CASCADE")
    script = (EMERGENCY / "save-evidence.sql").read_text().replace(" TO '", f" TO '{folder}/")
    with pytest.raises(ClusterError) as failed:
        shop.sql(script)
    assert "NOT saved: locks registrations\n" in str(failed.value)
    assert 'relation "tviews.pg_tview_meta" does not exist' in str(failed.value)
    saved = {p.stem for p in folder.iterdir() if p.is_file() and p.read_text()}
    named = set(re.findall(r"TO '(\w+)\.csv'", (EMERGENCY / "save-evidence.sql").read_text()))
    assert saved == named - {"locks", "registrations"}


@pytest.mark.parametrize("path", MONITORING, ids=lambda p: p.stem)
def test_monitoring_queries_run_as_a_role_that_only_looks(shop: Database, path: Path) -> None:
    name = f"looker_{shop.name}"
    shop.sql(f"CREATE ROLE {name} LOGIN IN ROLE pg_monitor")
    try:
        shop.sql(path.read_text(), user=name)
    finally:
        shop.sql(f"DROP ROLE {name}")


def test_a_query_that_should_give_no_row_gives_one_when_it_is_time(shop: Database) -> None:
    query = (ROOT / "sql/monitoring/triggers.sql").read_text()
    assert shop.sql(query) == ""
    shop.sql("ALTER TABLE public.tb_category DISABLE TRIGGER USER")
    assert "disabled" in shop.sql(query)
    query = (ROOT / "sql/monitoring/registrations.sql").read_text()
    assert shop.sql(query) == ""
    shop.sql("DROP VIEW tviews.public__tv_category CASCADE")
    assert "category" in shop.sql(query)
