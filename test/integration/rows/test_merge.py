"""Merging rows beside running writers, on the real extension."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from contents import differing
from servers import Database, until

from pgtv.graph.edges import edges
from pgtv.rows import bring as bring_module
from pgtv.rows.bring import Brought, End, bring, with_dependents
from pgtv.rows.merge import Merged, barrier_of_writers, merge
from pgtv.rows.subject import Subject, subjects
from pgtv.rows.writer import Writer, confined_writer
from pgtv.rows.wrong import Listed, look
from pgtv.session import connect

DRIFT = """
BEGIN;
DELETE FROM "Sales Dept".tv_order WHERE pk_order <= 3;
UPDATE "Sales Dept".tv_order SET data = '{{}}', fk_customer = NULL WHERE pk_order BETWEEN 4 AND 9;
INSERT INTO "Sales Dept".tv_order (pk_order, id, data) VALUES (-1, gen_random_uuid(), '{{}}');
COMMIT;
""".replace("{{}}", "{}")


@dataclass
class Bench:
    """Everything that a merge of one TVIEW needs."""

    database: Database
    writer: Writer
    subject: Subject
    relations: Sequence[int]

    def listed(self) -> Listed:
        return look(self.writer.connection, self.writer.run, self.subject)

    def wrong(self) -> list[tuple[str | None, ...]]:
        return [key for _, key in self.listed().rows]

    def merge(self, barrier: Callable[..., tuple[str, ...]] | None = None) -> Merged:
        return merge(
            [self.writer], self.subject, self.listed(), self.relations,
            barrier=barrier or barrier_of_writers,
        )  # fmt: skip


@contextmanager
def bench(shop: Database, entity: str) -> Iterator[Bench]:
    snapshot = shop.snapshot()
    with connect(shop.target(), read_only=False) as connection:
        tview = snapshot.tview_by_entity[entity]
        subject = subjects(connection, snapshot)[tview.table_oid]
        writer = confined_writer(connection, subject.owner or "", superuser_login=True)
        yield Bench(shop, writer, subject, edges(snapshot).upstream([tview.table_oid]))


@pytest.fixture
def orders(shop: Database) -> Iterator[Bench]:
    with bench(shop, "order") as made:
        yield made


def test_only_what_differs_is_written_and_dependents_follow(orders: Bench) -> None:
    shop = orders.database
    shop.sql(DRIFT)
    assert len(orders.wrong()) == 10
    done = orders.merge()
    assert (done.inserted, done.updated, done.deleted) == (3, 6, 1)
    assert not done.unsettled
    assert not orders.wrong()
    # tv_segment counts the rows of tv_order: the delta triggers carried it along
    counted = shop.sql(
        "SELECT count(*) FROM public.tv_segment s JOIN tviews.public__tv_segment v"
        " USING (pk_segment) WHERE s.data <> v.data"
    )
    assert counted == "0\n"


def test_nothing_asks_for_access_exclusive_and_readers_never_wait(orders: Bench) -> None:
    """While the merge's transaction is open, a reader finds every lock that it needs free."""
    shop = orders.database
    shop.sql(DRIFT)
    seen: list[str] = []

    def look(_writer: Writer, relations: Sequence[int], _timeout: float) -> tuple[str, ...]:
        return ()

    statements: list[str] = []
    inner = orders.writer.run

    def watched(statement: str) -> list[str]:
        rows = inner(statement)
        with shop.connect() as other:
            seen.extend(
                m
                for (m,) in other.execute(
                    "SELECT DISTINCT mode FROM pg_locks WHERE locktype = 'relation' AND pid = %s"
                    " AND relation = ANY (%s::oid[])",
                    (orders.writer.connection.info.backend_pid, list(orders.relations)),
                )
            )
            other.execute("SET lock_timeout = '1s'")
            other.execute('SELECT count(*) FROM "Sales Dept".tv_order')
        statements.append(statement)
        return rows

    orders.writer = Writer(orders.writer.connection, watched)
    orders.merge(barrier=look)
    assert statements
    assert "RowExclusiveLock" in seen
    assert not {"AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock"} & set(seen)


def no_barrier(_writer: Writer, _relations: Sequence[int], _timeout: float) -> tuple[str, ...]:
    return ()


def raced(orders: Bench, write: str, barrier: Callable[..., tuple[str, ...]] | None) -> None:
    """Run `write` uncommitted, merge, then commit: what a slow writer does to a merge."""
    shop = orders.database
    with shop.connect(autocommit=False) as slow:
        slow.execute(write.encode())
        failures: list[BaseException] = []

        def work() -> None:
            try:
                orders.merge(barrier)
            except BaseException as e:
                failures.append(e)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        if barrier is None:
            # the merge has committed its batch and stands at the barrier
            with shop.connect() as watcher:
                until(
                    lambda: watcher.execute(
                        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pgtv'"
                        " AND query LIKE '%%virtualxid%%'"
                    ).fetchone()
                )
        else:
            thread.join(30)
        slow.commit()
        thread.join(30)
        assert not thread.is_alive()
        assert not failures, failures


# (TVIEW, drift, what the slow writer does)
RACE_A = (
    "order",
    'BEGIN; DELETE FROM "Sales Dept".tv_order WHERE pk_order = 1; COMMIT',
    'DELETE FROM "Sales Dept".tb_order_line WHERE fk_order = 1;'
    ' DELETE FROM "Sales Dept".tb_order WHERE pk_order = 1',
)
RACE_B = (
    "product",
    "UPDATE public.tv_product SET fk_category = 9 WHERE pk_product = 1",
    "UPDATE public.tb_category SET name = 'renamed' WHERE pk_category ="
    " (SELECT fk_category FROM public.tb_product WHERE pk_product = 1)",
)
races = pytest.mark.parametrize("race", [RACE_A, RACE_B], ids=["A", "B"])
Race = tuple[str, str, str]


@races
def test_a_slow_writer_does_not_leave_drift(shop: Database, race: Race) -> None:
    entity, drift, write = race
    shop.sql(drift)
    with bench(shop, entity) as made:
        raced(made, write, None)
        assert not made.wrong()


@races
def test_without_the_barrier_the_same_writer_leaves_drift(shop: Database, race: Race) -> None:
    entity, drift, write = race
    shop.sql(drift)
    with bench(shop, entity) as made:
        raced(made, write, no_barrier)
        assert made.wrong(), "the race was not provoked: the test above proves nothing"


def brought(shop: Database) -> list[Brought]:
    snapshot = shop.snapshot()
    customers = snapshot.tview_by_entity["customer"]
    return bring(shop.target(), snapshot, with_dependents(snapshot, [customers]), apply=True)


STALE_CUSTOMER = """
INSERT INTO public.tb_customer (name, email) VALUES ('right', 'x');
BEGIN; UPDATE public.tv_customer SET data = '"wrong"' WHERE data->>'name' = 'right'; COMMIT;
"""
ORDER_OF_THEIRS = """INSERT INTO "Sales Dept".tb_order (fk_customer)
    SELECT pk_customer FROM public.tb_customer WHERE name = 'right'"""


def test_who_read_old_rows_of_another_tview_is_waited_for(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order inserted, uncommitted, embeds what its customer's row was before the merge."""
    shop.sql(STALE_CUSTOMER)
    real, waiting = bring_module.wait_for_writers, threading.Event()

    def told(*args: Any) -> tuple[str, ...]:
        waiting.set()
        return real(*args)

    monkeypatch.setattr(bring_module, "wait_for_writers", told)
    with shop.connect(autocommit=False) as slow:
        slow.execute(ORDER_OF_THEIRS)
        thread = threading.Thread(target=brought, args=(shop,), daemon=True)
        thread.start()
        assert waiting.wait(30)
        slow.commit()
    thread.join(30)
    assert not differing(shop)


def test_without_that_wait_the_same_order_stays_wrong(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bring_module, "wait_for_writers", lambda *_: ())
    shop.sql(STALE_CUSTOMER)
    with shop.connect(autocommit=False) as slow:
        slow.execute(ORDER_OF_THEIRS)
        brought(shop)
        slow.commit()
    assert set(differing(shop)) == {'"Sales Dept".tv_order'}


def test_a_prepared_transaction_that_read_old_rows_is_named(shop: Database) -> None:
    shop.sql(f"{STALE_CUSTOMER} BEGIN; {ORDER_OF_THEIRS}; PREPARE TRANSACTION 'read old rows'")
    ended = {b.tview: b for b in brought(shop)}
    assert ended["public.tv_customer"].end is End.MERGED
    assert ended['"Sales Dept".tv_order'].end is End.UNKNOWN
    assert "read old rows" in (ended['"Sales Dept".tv_order'].reason or "")


def test_a_prepared_transaction_in_the_way_is_named(orders: Bench) -> None:
    orders.database.sql(RACE_A[1])
    orders.database.sql(
        "BEGIN; UPDATE public.tb_customer SET name = 'p' WHERE pk_customer = 9;"
        " PREPARE TRANSACTION 'in the way'"
    )
    assert orders.merge().unknown == ("in the way",)


def test_a_function_planted_in_a_definition_does_not_become_a_superuser(shop: Database) -> None:
    shop.sql(
        """
        CREATE ROLE mallory LOGIN;
        GRANT CREATE ON SCHEMA public TO mallory;
        GRANT SELECT, TRIGGER ON public.tb_category TO mallory;
        """
    )
    shop.sql(
        """
        CREATE FUNCTION public.planted(text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN PERFORM set_config('role', 'none', false); RETURN $1;
        EXCEPTION WHEN OTHERS THEN RETURN $1; END $$;
        CREATE FUNCTION public.who(text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM public.planted('');
            BEGIN ALTER ROLE mallory SUPERUSER; EXCEPTION WHEN OTHERS THEN NULL; END;
            RETURN $1;
        END $$;
        SELECT tviews.pg_tviews_create_or_replace('public.tv_trap',
            'SELECT c.pk_category AS pk_trap, public.who(c.name) AS name FROM public.tb_category c',
            '{"function_reads": {"public.who(text)": []}}');
        BEGIN; DELETE FROM public.tv_trap; COMMIT;
        """,
        user="mallory",
    )
    with bench(shop, "trap") as made:
        assert made.wrong()
        made.merge()
        assert not made.wrong()
    assert shop.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'") == "f\n"
    shop.sql("DROP OWNED BY mallory CASCADE; DROP ROLE mallory")


def test_a_writer_that_is_cancelled_leaves_whole_batches(orders: Bench) -> None:
    orders.database.sql(DRIFT)
    calls = 0
    inner = orders.writer.run

    def dies(statement: str) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise psycopg.errors.QueryCanceled("cancelled")
        return inner(statement)

    whole = orders.writer
    orders.writer = Writer(whole.connection, dies)
    with pytest.raises(psycopg.errors.QueryCanceled):
        orders.merge()
    orders.writer = whole
    assert len(orders.wrong()) == 10, "the batch that was cut off is rolled back whole"
    orders.merge()
    assert not orders.wrong()


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows count as too many to list, and batches begin small."""
    monkeypatch.setattr("pgtv.rows.wrong.MOST", 10)
    monkeypatch.setattr("pgtv.rows.batches.FIRST", 50)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    "drift", ["UPDATE public.tv_search SET words = 'x'", "DELETE FROM public.tv_search"]
)
def test_where_nearly_all_differs_ranges_are_written_by_several_sessions(
    shop: Database, drift: str
) -> None:
    shop.sql(f"BEGIN; {drift}; COMMIT")
    snapshot = shop.snapshot()
    search = [snapshot.tview_by_entity["search"]]
    (one,) = bring(shop.target(), snapshot, search, apply=True, jobs=2)
    assert one.end is End.MERGED
    assert one.at_least
    assert one.differing == 11
    assert one.merged.written == 100
    assert one.merged.batches > 2
    assert not differing(shop)


@pytest.mark.usefixtures("many")
def test_keys_beyond_the_tables_own_are_covered(orders: Bench) -> None:
    """Rows missing at both ends of the key, and an extra one far outside."""
    orders.database.sql(
        """
        BEGIN;
        DELETE FROM "Sales Dept".tv_order WHERE pk_order < 40 OR pk_order > 100;
        INSERT INTO "Sales Dept".tv_order (pk_order, id, data)
            VALUES (-999999999, gen_random_uuid(), '{}'), (999999999, gen_random_uuid(), '{}');
        COMMIT;
        """
    )
    assert orders.listed().bounds == (-999999999, 999999999)
    done = orders.merge()
    assert done.deleted == 2
    assert not done.unsettled
    assert not differing(orders.database)


def test_tviews_that_read_none_of_each_other_are_brought_side_by_side(shop18: Database) -> None:
    shop18.sql(
        "BEGIN; DELETE FROM public.tv_category; UPDATE public.tv_customer SET data = '{}'; COMMIT"
    )
    snapshot = shop18.snapshot()
    every = with_dependents(snapshot, snapshot.tviews)
    ended = bring(shop18.target(), snapshot, every, apply=True, jobs=3)
    assert [b.tview for b in ended] == [t.label for t in every], "told in the order asked for"
    assert {b.end for b in ended} == {End.MERGED, End.EQUAL}
    assert not differing(shop18)
