"""Looking waits for nobody, holds nothing and burns no transaction id."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from servers import Database

from pgtv.catalog import queries
from pgtv.catalog.collect import collect
from pgtv.errors import QueryError
from pgtv.session import connect, snapshot_transaction

RELATIONS = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'Sales Dept') ORDER BY 1
"""
CATALOG = ("tviews.pg_tview_audit_log", "tviews.pg_tview_helpers", "tviews.pg_tview_valid")


def lock_all(connection: psycopg.Connection[object], tables: list[str]) -> None:
    only = ", ".join(f"ONLY {t}" for t in tables)  # the halves share no partition
    connection.execute(
        f"SET lock_timeout = '5s'; LOCK TABLE {only} IN ACCESS EXCLUSIVE MODE".encode()
    )


@contextmanager
def watched(shop: Database) -> Iterator[list[tuple[object, ...]]]:
    """Collects every wait of pgtv's sessions that pg_locks shows while the block runs."""
    seen: list[tuple[object, ...]] = []
    stop = threading.Event()

    def watch() -> None:
        with shop.connect() as connection:
            while not stop.is_set():
                seen.extend(
                    connection.execute(
                        "SELECT l.locktype, l.relation::regclass::text, l.mode FROM pg_locks l"
                        " JOIN pg_stat_activity a USING (pid)"
                        " WHERE NOT l.granted AND a.application_name = 'pgtv'"
                    ).fetchall()
                )

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("holder", ["session", "prepared", "both"])
def test_finishes_while_everything_is_locked(shop: Database, holder: str) -> None:
    # a trigger with a condition and a column of a domain type: both are printed from catalogs
    shop.sql(
        "CREATE FUNCTION public.noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
        "CREATE TRIGGER cond BEFORE UPDATE ON public.tb_customer FOR EACH ROW"
        " WHEN (old.name IS DISTINCT FROM new.name) EXECUTE FUNCTION public.noop();"
        "COMMENT ON TABLE public.tb_customer IS 'x';"
    )
    tables = [r for r in shop.sql(RELATIONS).splitlines() if r]
    assert "public.tv_customer" in tables and "public.tb_stock_move_2026" in tables
    half = len(tables) // 2 if holder == "both" else 0
    with shop.connect(autocommit=False) as session, shop.connect(autocommit=False) as prepared:
        if holder in ("session", "both"):
            lock_all(session, [*tables[half:], *CATALOG])
        if holder in ("prepared", "both"):
            lock_all(prepared, tables[:half] or [*tables, *CATALOG])
            prepared.execute("PREPARE TRANSACTION 'everything'")
        try:
            with watched(shop) as waits:
                snapshot = shop.snapshot()
                done = {
                    command[0]: shop.pgtv(*command)
                    for command in (["doctor"], ["status"], ["snapshot", "save", "-"])
                }
        finally:
            if holder in ("prepared", "both"):
                with shop.connect() as other:
                    other.execute("ROLLBACK PREPARED 'everything'")
    assert waits == []
    assert len(snapshot.tviews) == 9
    assert len(snapshot.triggers) == len(shop.snapshot().triggers)
    assert all(t.definition for t in snapshot.triggers if not t.when)
    assert {g.section for g in snapshot.gaps} <= {
        "view_definition", "trigger_definition", "size", "valid",
    }  # fmt: skip
    assert any(g.section == "view_definition" for g in snapshot.gaps)
    assert any(k.mode == "AccessExclusiveLock" and k.granted for k in snapshot.locks)
    gids = {k.gid for k in snapshot.locks}
    assert ("everything" in gids) == (holder != "session")
    for command, result in done.items():
        assert "unexpectedly" not in result.stderr, (command, result.stderr)
        assert "Traceback" not in result.stderr


def test_the_catalog_table_itself_is_locked(shop: Database) -> None:
    with shop.connect(autocommit=False) as session:
        lock_all(session, ["tviews.pg_tview_meta"])
        with watched(shop) as waits:
            snapshot = shop.snapshot()
            done = shop.pgtv("status")
    assert waits == []
    gap = snapshot.gap("tviews")
    assert gap and "ACCESS EXCLUSIVE" in gap.reason
    assert done.returncode == 3


def test_tviews_that_cannot_be_seen_are_not_none(shop: Database) -> None:
    with shop.connect(autocommit=False) as session:
        lock_all(session, ["tviews.pg_tview_meta"])
        for command in ("verify", "verify tv_order", "refresh", "graph show", "graph cycles",
                        "graph impact tb_order", "explain tv_order:1", "status tv_order"):  # fmt: skip
            done = shop.pgtv(*command.split())
            assert done.returncode == 3, (command, done.stdout)
            assert "the TVIEWs could not be seen: process" in done.stderr, (command, done.stderr)
            assert done.stdout == ""


@pytest.mark.parametrize("query", ["SERVER", "EXTENSION"])
def test_what_does_not_answer_in_time_is_not_absent(
    shop: Database, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(queries, query, "SELECT pg_catalog.pg_sleep(60)")
    connection = connect(shop.target(statement_timeout="200ms"))
    with pytest.raises(QueryError, match=r"cannot look at the .*statement timeout") as raised:
        collect(connection)
    assert raised.value.hint == "raise --statement-timeout"
    connection.close()


def test_burns_no_transaction_id_and_holds_no_lock(shop: Database) -> None:
    with connect(shop.target()) as connection:
        before = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())").fetchone()
        with snapshot_transaction(connection):
            from pgtv.catalog import collect as collecting
            from pgtv.catalog.asking import Asking

            snapshot = collecting._collect(Asking(connection))
            xid = connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()
            held = connection.execute(
                "SELECT l.relation::regclass::text FROM pg_locks l"
                " JOIN pg_class c ON c.oid = l.relation"
                " WHERE l.pid = pg_backend_pid() AND c.oid >= 16384"
            ).fetchall()
        after = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())").fetchone()
    assert snapshot.extension.library_version and snapshot.growth
    assert snapshot.growth.feed_gaps is not None  # functions of the library were called
    assert xid == (None,)
    assert held == []
    assert before == after


def test_round_trips_do_not_grow(shop: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def statements() -> int:
        count = 0
        with connect(shop.target()) as connection:
            plain = psycopg.Cursor.execute

            def counting(self: object, *args: object, **kw: object) -> object:
                nonlocal count
                count += 1
                return plain(self, *args, **kw)  # type: ignore[arg-type]

            with monkeypatch.context() as patch:
                patch.setattr(psycopg.Cursor, "execute", counting)
                collect(connection)
        return count

    few = statements()
    shop.sql(
        "DO $$ BEGIN FOR i IN 1..60 LOOP"
        " PERFORM tviews.pg_tviews_create_or_replace('public.tv_many' || i, format("
        " 'SELECT c.pk_category AS pk_many%s, c.id, jsonb_build_object(''n'', c.name) AS data"
        " FROM public.tb_category c', i)); END LOOP; END $$"
    )
    assert len(shop.snapshot().tviews) == 69
    assert statements() == few <= 12


def test_all_that_is_seen_is_of_one_moment(
    shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read-only REPEATABLE READ transaction, although others commit between its statements."""
    seen: list[tuple[object, ...] | None] = []
    with shop18.connect() as other, connect(shop18.target()) as connection:

        def looking(self: object, *args: object, **kw: object) -> object:
            other.execute("SELECT pg_current_xact_id()")
            seen.append(
                connection.execute(
                    "SELECT current_setting('transaction_isolation'),"
                    " current_setting('transaction_read_only'), now()::text,"
                    " pg_current_snapshot()::text"
                ).fetchone()
            )
            return psycopg.Cursor.execute(self, *args, **kw)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(psycopg.ClientCursor, "execute", looking)
            collect(connection)
    assert len(seen) > 2
    assert seen[0] and seen[0][:2] == ("repeatable read", "on")
    assert len(set(seen)) == 1, "the beginning of the transaction and what it sees stay the same"


def test_the_command_begins_one_transaction(shop18: Database) -> None:
    """As the server logs it: after login one BEGIN, one ROLLBACK, and nothing outside of them."""
    before = len(shop18.server.log_text())
    done = shop18.pgtv("snapshot", "save", "-", PGOPTIONS="-c log_statement=all")
    assert done.returncode == 0, done.stderr
    logged = re.findall(
        rf"^.* \[(\d+)\] \S+ pgtv {shop18.name} LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)",
        shop18.server.log_text()[before:],
        re.MULTILINE,
    )
    assert len({pid for pid, _ in logged}) == 1
    statements = [text for _, text in logged]
    begin = statements.index("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    # until then only what a login needs: is there a pooler, and the pins
    assert [s.split()[0] for s in statements[:begin]] == ["BEGIN", "SET"]
    assert statements[0].endswith("COMMIT") and "FROM" not in "".join(statements[:begin])
    inside = statements[begin + 1 : -1]
    ends = [s for s in inside if re.search(r"^\s*(BEGIN|START|COMMIT|END|ROLLBACK)\s*;?$", s, re.M)]
    assert inside and ends == []
    assert statements[-1] == "ROLLBACK"
