"""sql/emergency and sql/monitoring: each file runs by psql alone, and does what its comment says."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from own_triggers import OWN_STATES, OWN_TRIGGERS
from planted import OWNER, TRAP, as_owner, log_of
from servers import REAL_MAJORS, ROOT, Database, until

from pgtv.errors import ClusterError

# on the stand-in as well, where the extension is not built for 16: test_sql_files_lab
MAJORS = sorted({*REAL_MAJORS, 16}, reverse=True)
pytestmark = [
    pytest.mark.both,
    pytest.mark.parametrize(
        "real_server", MAJORS, ids=lambda m: f"pg{m}", indirect=True, scope="session"
    ),
]

EMERGENCY = ROOT / "sql" / "emergency"
MONITORING = sorted((ROOT / "sql" / "monitoring").glob("*.sql"))
DRIFT = """
BEGIN;
DELETE FROM public.tv_category WHERE pk_category = 1;
UPDATE public.tv_product SET data = '{}' WHERE pk_product < 5;
DELETE FROM "Sales Dept".tv_order WHERE pk_order < 3;
COMMIT;
"""


def psql(database: Database, *files: Path, **kw: Any) -> str:
    """As the files say that they are run: by their paths, one after the other in one session."""
    named = [word for file in files for word in ("-f", str(file))]
    return database.program("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *named, **kw)


def run(database: Database, *names: str) -> str:
    return psql(database, *(EMERGENCY / name for name in names))


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
        psql(shop, EMERGENCY / "refresh-all.sql", user=role)
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
        quick = shop.folder / "disable-triggers.sql"
        text = (EMERGENCY / quick.name).read_text()
        quick.write_text(text.replace("lock_timeout = '5s'", "lock_timeout = '100ms'"))
        with pytest.raises(ClusterError, match="lock timeout"):
            psql(shop, quick)
        writer.rollback()
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 0


# What stands where the states of before are kept, as disable-triggers.sql makes it but for one thing.
STATES = """CREATE SCHEMA pgtv_emergency; CREATE TABLE pgtv_emergency.disabled_trigger (
    relation regclass NOT NULL, trigger name NOT NULL, enabled "char" NOT NULL,
    disabled_at timestamptz NOT NULL DEFAULT now(), disabled_by name NOT NULL DEFAULT SESSION_USER,
    PRIMARY KEY (relation, trigger));
"""
ON_STATES = {
    "nothing": "",
    "default": "ALTER TABLE {} ADD more bool DEFAULT planted.evil(1);",
    "default of ours": "ALTER TABLE {} ALTER disabled_by SET DEFAULT planted.evil_text();",
    "generated": "ALTER TABLE {} ADD more bool GENERATED ALWAYS AS (planted.evil(1)) STORED;",
    "trigger": "CREATE TRIGGER t BEFORE INSERT OR DELETE ON {} FOR EACH STATEMENT"
        " EXECUTE FUNCTION planted.evil_row();",
    "rule": "CREATE RULE r AS ON INSERT TO {} DO ALSO SELECT planted.evil(1);",
    "check": "ALTER TABLE {} ADD CHECK (planted.evil(1));",
    "index": "CREATE INDEX ON {} (trigger) WHERE planted.evil(1);",
    "statistics": "CREATE STATISTICS pgtv_emergency.s ON (planted.evil(1)), trigger FROM {};",
    "policy": "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY;"
        " CREATE POLICY p ON {0} USING (planted.evil(1));",
    "child": "CREATE TABLE pgtv_emergency.c (CHECK (planted.evil(1))) INHERITS ({});"
        " CREATE INDEX ON pgtv_emergency.c (trigger) WHERE planted.evil(1);",
    "view": "ALTER TABLE {0} RENAME TO kept; CREATE VIEW {0} AS SELECT * FROM pgtv_emergency.kept"
        " WHERE planted.evil(1);",
}  # fmt: skip


@pytest.mark.sampled(6)
@pytest.mark.parametrize("theirs", [True, False], ids=["theirs", "given away"])
@pytest.mark.parametrize("what", ON_STATES)
def test_what_is_planted_where_states_are_kept_runs_nothing(
    shop: Database, what: str, theirs: bool
) -> None:
    """By somebody who may create in the database; and still there once it belongs to a superuser."""
    one = "public.tb_category", "trg_tview_row_category_on_public_tb_category"
    row = "INSERT INTO pgtv_emergency.disabled_trigger VALUES ('{}', '{}', 'O');".format(*one)
    as_owner(shop, TRAP + STATES + row + ON_STATES[what].format("pgtv_emergency.disabled_trigger"))
    if not theirs:
        shop.sql("ALTER SCHEMA pgtv_emergency OWNER TO postgres")
        kind = "VIEW" if what == "view" else "TABLE"
        shop.sql(f"ALTER {kind} pgtv_emergency.disabled_trigger OWNER TO postgres")
    for name in ("disable-triggers.sql", "enable-triggers.sql"):
        if what == "nothing" and not theirs:
            run(shop, name)
            continue

        def refused(name: str = name) -> None:
            message = f"belongs to {OWNER}" if theirs else "is not what disable-triggers.sql makes"
            with pytest.raises(ClusterError, match=message):
                run(shop, name)

        assert "PLANTED, as postgres" not in log_of(shop, refused)
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


def test_save_evidence(shop: Database) -> None:
    folder = shop.folder / "evidence"
    folder.mkdir()
    folder.chmod(0o777)
    psql(shop, EMERGENCY / "save-evidence.sql", cwd=folder)
    saved = {p.name for p in folder.iterdir()}
    assert {"locks.csv", "activity.csv", "registrations.csv", "triggers.csv"} <= saved
    assert (folder / "registrations.csv").read_text().count("\n") >= 10


def test_save_evidence_saves_the_rest_when_the_extension_is_gone(shop: Database) -> None:
    folder = shop.folder / f"evidence-{shop.name}"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "locks.csv").mkdir()  # cannot be written by psql
    shop.sql("DROP EXTENSION pg_tviews CASCADE")
    with pytest.raises(ClusterError) as failed:
        psql(shop, EMERGENCY / "save-evidence.sql", cwd=folder)
    assert "NOT saved: locks registrations\n" in str(failed.value)
    assert 'relation "tviews.pg_tview_meta" does not exist' in str(failed.value)
    saved = {p.stem for p in folder.iterdir() if p.is_file() and p.read_text()}
    named = set(re.findall(r"TO '(\w+)\.csv'", (EMERGENCY / "save-evidence.sql").read_text()))
    assert saved == named - {"locks", "registrations"}


def test_save_evidence_reads_nothing_but_tables_where_the_extension_was(shop: Database) -> None:
    shop.sql("DROP EXTENSION pg_tviews CASCADE; DROP SCHEMA IF EXISTS tviews CASCADE")
    as_owner(
        shop,
        f"{TRAP}; CREATE SCHEMA tviews;"
        " CREATE VIEW tviews.pg_tview_meta AS SELECT 1 AS a WHERE planted.evil(1)",
    )
    folder = shop.folder / "evidence"
    folder.mkdir()
    folder.chmod(0o777)

    def save() -> None:
        with pytest.raises(ClusterError, match="NOT saved: registrations\n"):
            psql(shop, EMERGENCY / "save-evidence.sql", cwd=folder)

    assert "PLANTED" not in log_of(shop, save)


@pytest.mark.parametrize("path", MONITORING, ids=lambda p: p.stem)
def test_monitoring_queries_run_as_a_role_that_only_looks(shop: Database, path: Path) -> None:
    name = f"looker_{shop.name}"
    shop.sql(f"CREATE ROLE {name} LOGIN IN ROLE pg_monitor")
    try:
        psql(shop, path, user=name)
    finally:
        shop.sql(f"DROP ROLE {name}")


Looked = tuple[Database, Callable[[str], list[list[str]]]]


@pytest.fixture
def looked(shop: Database) -> Looked:
    """A shop, and what a file of monitoring shows of it, as fields of rows."""

    def rows(name: str) -> list[list[str]]:
        shown = psql(shop, ROOT / "sql" / "monitoring" / f"{name}.sql")
        return [line.split("|") for line in shown.splitlines()]

    return shop, rows


def _connections(looked: Looked) -> None:
    shop, rows = looked
    ((before, usable, _),) = rows("connections")
    with shop.connect(), shop.connect(), shop.connect():
        ((used, _, percent),) = rows("connections")
    assert int(used) == int(before) + 3
    assert usable == "57", "60, of which three are for superusers"
    assert percent == f"{100 * int(used) / 57:.1f}"


def _prepared(looked: Looked) -> None:
    shop, rows = looked
    assert rows("prepared") == []
    shop.sql(
        "BEGIN; UPDATE public.tb_customer SET name = 'p' WHERE pk_customer = 1;"
        " PREPARE TRANSACTION 'forgotten'; CREATE TABLE public.later (n int)"
    )
    ((gid, database, owner, age, since),) = rows("prepared")
    assert (gid, database, owner) == ("forgotten", shop.name, "postgres")
    assert age.startswith("00:00:")
    assert int(since) >= 1


def _registrations(looked: Looked) -> None:
    shop, rows = looked
    assert rows("registrations") == []
    shop.sql("DROP VIEW tviews.public__tv_category CASCADE")
    assert [(r[0], r[2]) for r in rows("registrations")] == [("category", "t")]


def _replication(looked: Looked) -> None:
    shop, rows = looked
    assert rows("replication") == []
    shop.sql("SELECT pg_create_physical_replication_slot('kept', true)")
    try:
        with shop.server.standby() as standby:
            standby.start()
            until(lambda: [r[2] for r in rows("replication") if r[0] == "standby"] == ["streaming"])
            standby.pause_replay()
            shop.sql("SELECT pg_logical_emit_message(true, '', repeat('x', 100000))")
            # it counts from when it is written, which is a moment after the commit
            until(lambda: int(rows("replication")[1][4]) > 100000)
            slot, follower = rows("replication")
        assert slot[:3] == ["slot", "kept", "reserved, idle"]
        assert follower[:3] == ["standby", "walreceiver", "streaming"]
        assert int(slot[4]) > int(follower[4])
    finally:
        shop.sql("SELECT pg_drop_replication_slot('kept')")


def _storage(looked: Looked) -> None:
    shop, rows = looked
    shop.sql(
        "ALTER TABLE public.tv_basket SET (autovacuum_enabled = off); ANALYZE public.tv_basket;"
        " SET session_replication_role = replica;"
        " UPDATE public.tv_basket SET data = data WHERE pk_basket <= 50;"
        " DELETE FROM public.tv_basket WHERE pk_basket <= 150; SELECT pg_stat_force_next_flush()"
    )
    found = {f"{r[0]}.{r[1]}": r for r in rows("storage")}
    assert len(found) == 9
    live, dead, share, hot = found["public.tv_basket"][3:7]
    # rows that were updated may have been pruned since
    assert live == "50"
    assert 150 <= int(dead) <= 200
    assert share == f"{100 * int(dead) / (int(dead) + 50):.1f}"
    assert 0 <= float(hot) <= 100


def _triggers(looked: Looked) -> None:
    shop, rows = looked
    assert rows("triggers") == []
    shop.sql("ALTER TABLE public.tb_category DISABLE TRIGGER USER")
    assert {(r[0], r[2]) for r in rows("triggers")} == {("tb_category", "disabled")}


def _unlogged(looked: Looked) -> None:
    shop, rows = looked
    shop.sql("ANALYZE public.tv_search")
    ((schema, name, estimated),) = rows("unlogged")
    assert (schema, name) == ("public", "tv_search")
    assert int(estimated) > 0
    shop.sql("TRUNCATE public.tv_search; SELECT pg_stat_force_next_flush()")
    assert rows("unlogged") == [["public", "tv_search", "0"]]


def _waits(looked: Looked) -> None:
    shop, rows = looked
    assert rows("waits") == []
    with shop.connect(autocommit=False) as holder, shop.connect() as waiter:
        holder.execute("LOCK TABLE public.tv_customer IN ACCESS EXCLUSIVE MODE")
        read = "SELECT count(*) FROM public.tv_customer"
        thread = threading.Thread(target=waiter.execute, args=(read,), daemon=True)
        thread.start()
        found: list[list[str]] = []
        until(lambda: found.extend(rows("waits")) or found)
        holder.rollback()
        thread.join(10)
        pids = [str(waiter.info.backend_pid), f"{{{holder.info.backend_pid}}}"]
    ((pid, waiting, kind, mode, relation, behind),) = found
    assert [pid, behind] == pids
    assert (kind, mode, relation) == ("relation", "AccessShareLock", "tv_customer")
    assert waiting > "00:00:01"


PROVOKED = {
    f.__name__[1:]: f
    for f in (
        _connections, _prepared, _registrations, _replication, _storage, _triggers, _unlogged, _waits,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", [p.stem for p in MONITORING])
def test_a_query_shows_what_it_is_for(looked: Looked, name: str) -> None:
    """What should give no row gives none before; each finds what was provoked."""
    PROVOKED[name](looked)
