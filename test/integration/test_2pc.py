"""`pgtv 2pc`: prepared transactions seen and ended, on the real extension."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
from contents import differing
from servers import Database, until

RENAMED = "UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 7"
HOSTILE = ('it\'s "odd" \\ \n; -- \x1b[31m 🙂' + "x" * 199).encode()[:199].decode(errors="ignore")


def prepare(shop: Database, gid: str, *statements: str, user: str | None = None) -> None:
    with shop.connect(user=user, autocommit=False) as connection:
        for statement in statements or (RENAMED,):
            connection.execute(statement.encode())
        connection.execute(psycopg.sql.SQL("PREPARE TRANSACTION {}").format(gid))


def gids(shop: Database) -> set[str]:
    with shop.connect() as connection:
        return {
            r[0]
            for r in connection.execute(
                "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
            )
        }


def listed(shop: Database, *args: str, exit: int | None = None, **kw: Any) -> dict[str, Any]:
    """The document of list (or show), checked against its schema; by gid under `by`."""
    done = shop.pgtv("2pc", *(args or ("list",)), "--format", "json", **kw)
    assert exit is None or done.returncode == exit, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode
    document["by"] = {t["gid"]: t for t in document["transactions"]}
    return document


@contextmanager
def waiting(shop: Database, *statements: str) -> Iterator[list[int]]:
    """Sessions that wait, one after the other, each for its statement; gives their pids."""
    sessions, threads = [], []

    def run(session: psycopg.Connection[Any], statement: str) -> None:
        try:
            session.execute(statement.encode())
        except psycopg.Error:
            session.rollback()

    try:
        with shop.connect() as watcher:
            for number, statement in enumerate(statements, 1):
                session = shop.connect(autocommit=False)
                thread = threading.Thread(target=run, args=(session, statement), daemon=True)
                sessions.append(session)
                threads.append(thread)
                thread.start()
                query = (
                    "SELECT count(DISTINCT l.pid) = %s FROM pg_locks l JOIN pg_stat_activity a"
                    " USING (pid) WHERE NOT l.granted AND a.datname = current_database()"
                )
                until(
                    lambda q=query, n=number: watcher.execute(q, (n,)).fetchone() == (True,)  # type: ignore[misc]
                )
        yield [s.info.backend_pid for s in sessions]
    finally:
        for session in sessions:
            session.cancel_safe(timeout=5)
        for thread in threads:
            thread.join(10)
        for session in sessions:
            session.close()


def test_nothing_is_there(shop18: Database, root: Path) -> None:
    document = listed(shop18, exit=0)
    schema = json.loads((root / "schemas/pgtv.2pc.1.json").read_text())
    document.pop("by")
    jsonschema.validate(document, schema)
    assert document["transactions"] == [] and document["places"] == 20


def test_all_is_told_of_one_with_a_hostile_name(shop: Database, root: Path) -> None:
    prepare(
        shop, HOSTILE, RENAMED, "INSERT INTO public.tb_customer (name, email) VALUES ('n', 'n')"
    )
    shop.sql("SELECT txid_current()")  # something began since
    document = listed(shop, "show", HOSTILE, exit=0)
    one = document.pop("by")[HOSTILE]
    jsonschema.validate(document, json.loads((root / "schemas/pgtv.2pc.1.json").read_text()))
    assert (one["database"], one["owner"]) == (shop.name, "postgres")
    assert one["xid_age"] >= 1 and one["oldest"] and one["severity"] == "info"
    assert "public.tv_customer" in one["tviews"] and '"Sales Dept".tv_order' in one["tviews"]
    held = {h["relation"]: (h["mode"], h["tview"]) for h in one["holds"]}
    assert held["public.tb_customer"] == ("RowExclusiveLock", False)
    assert held["public.tv_customer"] == ("RowExclusiveLock", True)
    keys = {k["relation"]: k for k in one["keys"]}
    assert keys["public.tb_customer"]["keys"] == [["7"]]
    assert keys["public.tv_customer"]["keys"] == [["7"]]
    (new,) = keys["public.tv_customer"]["created"]
    assert new == shop.sql("SELECT last_value FROM public.tb_customer_pk_customer_seq").strip()
    assert keys["public.tv_customer"]["unseen"] == 0
    # what is printed is what works, and steers no terminal
    text = shop.pgtv("2pc", "show", f"xid:{one['xid']}").stdout
    assert "\x1b" not in text
    (statement,) = [x for x in text.splitlines() if "ROLLBACK PREPARED" in x]
    shop.sql(statement.partition("or ")[2])
    assert not gids(shop)


def test_looking_burns_no_transaction_id(shop18: Database) -> None:
    prepare(shop18, "looked at")
    with shop18.connect() as connection:

        def newest() -> object:
            text = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
            return connection.execute(text).fetchone()

        def look() -> bool:
            before = newest()
            listed(shop18)
            listed(shop18, "show", "looked at")
            shop18.pgtv("2pc", "cleanup", "--rollback", "--older-than", "0s")
            return newest() == before

        until(look)  # autovacuum burns some of its own, and not each time


def test_rows_of_savepoints_are_told_apart_where_they_can_be(shop18: Database) -> None:
    changed = "UPDATE public.tb_customer SET name = 's' WHERE pk_customer = 8"
    with shop18.connect(autocommit=False) as open_:
        open_.execute("SELECT pg_current_xact_id()")  # older than the savepoint: may own it
        prepare(shop18, "saved", RENAMED, "SAVEPOINT a", changed, "RELEASE a")
        keys = {k["relation"]: k for k in listed(shop18, "show", "saved")["by"]["saved"]["keys"]}
        customers = keys["public.tb_customer"]
        assert sorted(customers["keys"]) == [["7"], ["8"]]
        assert (customers["changed"], customers["savepoint"]) == (2, 1)
    keys = {k["relation"]: k for k in listed(shop18, "show", "saved")["by"]["saved"]["keys"]}
    assert keys["public.tb_customer"]["savepoint"] == 0, "nobody else is left whose it could be"


def test_another_transactions_rows_are_not_its_own(shop18: Database) -> None:
    prepare(shop18, "mine")
    with shop18.connect(autocommit=False) as other:
        other.execute("UPDATE public.tb_customer SET name = 'o' WHERE pk_customer = 9")
        keys = {k["relation"]: k for k in listed(shop18, "show", "mine")["by"]["mine"]["keys"]}
    assert keys["public.tb_customer"]["keys"] == [["7"]]


def test_rows_that_cannot_be_told_are_counted(shop18: Database) -> None:
    """A key that no integer above the visible ones is; and more locks than are told apart."""
    made = (
        "INSERT INTO public.tb_customer (pk_customer, name, email) OVERRIDING SYSTEM VALUE VALUES"
    )
    prepare(shop18, "far", f"{made} (99999999, 'n', 'n')")
    many = "INSERT INTO public.tb_category (name) SELECT 'c' || g FROM generate_series(1, 100) g"
    prepare(shop18, "many", many)
    document = listed(shop18, "show", "far", "many")
    far = {k["relation"]: k for k in document["by"]["far"]["keys"]}["public.tv_customer"]
    assert far["created"] == [] and far["unseen"] > 0
    unseen = {k["relation"]: k["unseen"] for k in document["by"]["many"]["keys"]}
    assert unseen["public.tv_category"] is None
    text = shop18.pgtv("2pc", "show", "far", "many").stdout
    assert "cannot be seen" in text and "more values than are told apart" in " ".join(text.split())


def test_who_waits_is_told_in_each_way(shop: Database) -> None:
    """For its row, for the row behind that one, for the table, and for the extension's lock."""
    prepare(shop, "blocks")
    queue = (
        "UPDATE public.tb_customer SET email = 'first' WHERE pk_customer = 7",
        "UPDATE public.tb_customer SET email = 'second' WHERE pk_customer = 7",
        "SELECT tviews.pg_tviews_refresh('public.tv_customer')",
        "LOCK TABLE public.tb_customer IN SHARE MODE",
    )
    with waiting(shop, *queue) as pids:
        until(lambda: listed(shop)["exit_code"] == 2)
        one = listed(shop)["by"]["blocks"]
        assert {w["pid"] for w in one["waiting"]} == set(pids)
        assert "4 sessions wait for it" in " ".join(shop.pgtv("2pc", "list").stdout.split())
        text = shop.pgtv("2pc", "show", "blocks", "--no-keys").stdout
        assert "'first'" not in text, "literals of others are not shown"


def test_who_waits_for_one_that_touches_no_tview(shop18: Database) -> None:
    shop18.sql("CREATE TABLE public.plain (a int); INSERT INTO public.plain VALUES (1)")
    prepare(shop18, "plain", "UPDATE public.plain SET a = 2")
    with waiting(shop18, "LOCK TABLE public.plain IN SHARE MODE") as pids:
        one = listed(shop18)["by"]["plain"]
    assert [w["pid"] for w in one["waiting"]] == pids
    assert one["holds"][0] == {
        "relation": "public.plain", "mode": "RowExclusiveLock", "written": True, "tview": None,
    }  # fmt: skip
    # the checks on TVIEWs have nothing to do with it
    assert shop18.pgtv("doctor", "--only", "lock-wait").returncode == 0


def test_prepared_while_suspended_is_seen_without_waiting(shop: Database) -> None:
    suspended = "SELECT tviews.pg_tviews_suspend_triggers()"
    prepare(shop, "suspended", suspended, "UPDATE public.tb_category SET name = 'c'")
    document = listed(shop, "show", "suspended", exit=2)
    one = document["by"]["suspended"]
    assert "public.tv_category" in one["exclusive"] and one["unlogged"] == ["public.tv_search"]
    reasons = {k["relation"]: k["reason"] for k in one["keys"]}
    assert "ACCESS EXCLUSIVE" in reasons["public.tv_category"]
    done = shop.pgtv("2pc", "commit", "suspended", "--apply", "--receipt", "r.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert differing(shop) == {}
    assert shop.sql("SELECT DISTINCT data->>'name' FROM public.tv_category") == "c\n"


def test_a_base_table_that_it_altered_is_closed(shop18: Database) -> None:
    prepare(shop18, "ddl", "ALTER TABLE public.tb_customer ADD COLUMN note text")
    one = listed(shop18, exit=2)["by"]["ddl"]
    assert one["exclusive"] == ["public.tb_customer"]
    assert "public.tv_customer" in one["tviews"]


def test_rows_of_partitions(shop18: Database) -> None:
    moved = "UPDATE public.tb_stock_move SET amount = 7 WHERE pk_stock_move = 3"
    prepare(shop18, "part", moved)
    keys = {k["relation"]: k for k in listed(shop18, "show", "part")["by"]["part"]["keys"]}
    assert keys["public.tb_stock_move_2026"]["changed"] == 0, "locked, and not changed"
    assert keys["public.tb_stock_move_2025"]["columns"] == ["pk_stock_move", "moved_on"]
    assert keys["public.tb_stock_move_2025"]["keys"] == [["3", "2025-06-04"]]
    assert keys["public.tv_stock"]["changed"] == 1


def test_a_snapshot_file_is_enough_to_look(shop18: Database, tmp_path: Path) -> None:
    prepare(shop18, "in the file")
    file = tmp_path / "s.json"
    assert shop18.pgtv("snapshot", "save", str(file)).returncode == 0
    shop18.sql("ROLLBACK PREPARED 'in the file'")
    document = listed(shop18, "list", "--from", str(file))
    assert "public.tv_customer" in document["by"]["in the file"]["tviews"]
    shown = listed(shop18, "show", "in the file", "--from", str(file))["by"]["in the file"]
    assert shown["keys"] is None and shown["locked_values"] > 0
    assert shop18.pgtv("2pc", "list", "--ended", "--from", str(file)).returncode == 3


def test_every_database_of_the_cluster_is_looked_into(shop: Database, tmp_path: Path) -> None:
    """Found from elsewhere, ended and repaired where it is."""
    gid = f"elsewhere {shop.name}"
    prepare(shop, gid)
    elsewhere = Database(shop.server, "postgres")
    one = listed(elsewhere)["by"][gid]
    assert one["looked"] and "public.tv_customer" in one["tviews"]
    file = tmp_path / "s.json"
    elsewhere.pgtv("snapshot", "save", str(file))
    unseen = listed(elsewhere, "list", "--from", str(file), exit=3)["by"][gid]
    assert not unseen["looked"] and "another database" in unseen["reason"]
    done = elsewhere.pgtv("2pc", "rollback", gid, "--apply", "--receipt", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        f"in database {shop.name}" in done.stdout and "equal      public.tv_customer" in done.stdout
    )
    assert not gids(shop)


def test_a_database_that_lets_nobody_in_is_unknown(shop18: Database) -> None:
    gid = f"closed {shop18.name}"
    prepare(shop18, gid)
    elsewhere = Database(shop18.server, "postgres")
    elsewhere.sql(f"ALTER DATABASE {shop18.name} ALLOW_CONNECTIONS false")
    try:
        one = listed(elsewhere, exit=3)["by"][gid]
        assert not one["looked"] and "not currently accepting" in one["reason"]
        planned = elsewhere.pgtv("2pc", "cleanup", "--rollback", "--older-than", "0s")
        assert planned.returncode == 3, "what could not be seen is not healthy"
        assert "could not be looked into" in planned.stdout
        assert f"ROLLBACK PREPARED '{gid}'" not in planned.stdout
    finally:
        elsewhere.sql(f"ALTER DATABASE {shop18.name} ALLOW_CONNECTIONS true")


def queue(shop: Database, columns: str, rows: str) -> dict[str, Any]:
    shop.sql(
        f'CREATE SCHEMA "Old"; CREATE TABLE "Old".pg_tview_pending_refreshes ({columns});'
        f' INSERT INTO "Old".pg_tview_pending_refreshes VALUES {rows}'
    )
    document = listed(shop, exit=1)
    (table,) = document["pending"]
    assert table["table"] == '"Old"."pg_tview_pending_refreshes"'
    return table  # type: ignore[no-any-return]


def test_the_queue_of_early_plans_shows_orphans_and_duplicates(shop18: Database) -> None:
    """No release that cargo offers has this table: it is made here as early plans had it."""
    prepare(shop18, "still there")
    table = queue(
        shop18,
        "gid text, refresh_queue jsonb, prepared_at timestamptz DEFAULT now() - interval '2 h',"
        " queue_size int",
        """('still there', '[{"entity": "user", "pk": 1}]', DEFAULT, 1),
           ('gone', '[{"entity": "user", "pk": 1}, {"entity": "post", "pk": 2}]', DEFAULT, 2),
           ('gone', '[]', DEFAULT, NULL)""",
    )
    rows = [
        (r["gid"], r["size"], r["orphan"], r["duplicate"], r["repeated"]) for r in table["rows"]
    ]
    assert sorted(rows) == [
        ("gone", 0, True, True, 0),
        ("gone", 2, True, True, 1),
        ("still there", 1, False, False, 1),
    ]
    text = " ".join(shop18.pgtv("2pc", "list").stdout.split())
    assert "2 orphans, 3 duplicates" in text


def test_a_queue_in_bytes_or_under_a_lock_is_told_as_far_as_it_goes(shop18: Database) -> None:
    table = queue(shop18, "gid text PRIMARY KEY, refresh_queue bytea", r"('x', '\x1f8b')")
    assert [(r["gid"], r["orphan"], r["repeated"]) for r in table["rows"]] == [("x", True, 0)]
    with shop18.connect(autocommit=False) as holder:
        holder.execute('LOCK TABLE "Old".pg_tview_pending_refreshes')
        (locked,) = listed(shop18)["pending"]
    assert "ACCESS EXCLUSIVE" in locked["reason"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("cleanup",), "wants to be told so"),
        (("cleanup", "--rollback", "--older-than", "soon"), "is no time"),
        (("show", "nope"), "there is no prepared transaction 'nope'"),
        (("commit", "nope"), "there is no prepared transaction 'nope'"),
        (("rollback",), "Missing argument"),
    ],
)
def test_what_makes_no_sense_is_refused(shop18: Database, args: tuple[str, ...], said: str) -> None:
    done = shop18.pgtv("2pc", *args)
    assert done.returncode == 3 and said in done.stderr, done.stderr


def test_a_misspelled_name_gets_the_nearest(shop18: Database) -> None:
    prepare(shop18, "order-42")
    done = shop18.pgtv("2pc", "show", "order-24")
    assert "did you mean 'order-42'?" in done.stderr
