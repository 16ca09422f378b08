"""sql/emergency and sql/monitoring: each file runs by psql alone, and does what its comment says."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import psycopg
import pytest
from servers import REAL_MAJORS, ROOT, Database, until

from pgtv.errors import ClusterError

# 16 has its own files on the stand-in as well: test_sql_files_lab
pytestmark = pytest.mark.parametrize(
    "real_server",
    [*REAL_MAJORS, pytest.param(16, marks=pytest.mark.whole)],
    ids=lambda m: f"pg{m}", indirect=True, scope="session",
)  # fmt: skip

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


def test_disable_and_enable_keep_what_was_disabled_before(shop: Database) -> None:
    shop.sql(
        "ALTER TABLE public.tb_category DISABLE TRIGGER trg_tview_row_category_on_public_tb_category"
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


def test_disabling_behind_an_open_writer_fails_whole(shop: Database) -> None:
    with shop.connect(autocommit=False) as writer:
        writer.execute("UPDATE public.tb_customer SET name = 'w' WHERE pk_customer = 1")
        quick = (EMERGENCY / "disable-triggers.sql").read_text().replace("'5s'", "'100ms'")
        with pytest.raises(ClusterError, match="lock timeout"):
            shop.sql(quick)
        writer.rollback()
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 0


def test_stop_and_allow_writes(shop: Database) -> None:
    run(shop, "stop-writes.sql")
    with pytest.raises(ClusterError, match="read-only transaction"):
        shop.sql("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1")
    assert shop.pgtv("doctor", "--only", "read-only-default").returncode == 1
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
    folder = shop.server.root / "evidence"
    folder.mkdir()
    folder.chmod(0o777)
    script = (EMERGENCY / "save-evidence.sql").read_text().replace(" TO '", f" TO '{folder}/")
    shop.sql(script)
    saved = {p.name for p in folder.iterdir()}
    assert {"locks.csv", "activity.csv", "registrations.csv", "triggers.csv"} <= saved
    assert (folder / "registrations.csv").read_text().count("\n") >= 10


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
