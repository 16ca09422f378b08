"""Merging rows beside running writers, on the real extension."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from contents import differing
from servers import Database, until

from pgtv.graph.edges import edges
from pgtv.rows import bring as bring_module
from pgtv.rows.barrier import older_writers, outlast, writers
from pgtv.rows.bring import Brought, End, bring, with_dependents
from pgtv.rows.merge import Merged, Pace, barrier_of_writers, merge
from pgtv.rows.settle import settle
from pgtv.rows.subject import Subject, subjects
from pgtv.rows.transaction import write
from pgtv.rows.writer import Writer
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
        return look(self.writer.look, self.subject)

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
    with connect(shop.target(), read_only=False) as connection, connect(shop.target()) as aside:
        tview = snapshot.tview_by_entity[entity]
        subject = subjects(aside, snapshot)[tview.table_oid]
        writer = Writer(connection, aside, subject.owner or "")
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

    class Watched(Writer):
        def _run(self, statements: Sequence[str]) -> list[list[str]]:
            rows = super()._run(statements)
            with shop.connect() as other:
                seen.extend(
                    m
                    for (m,) in other.execute(
                        "SELECT DISTINCT mode FROM pg_locks WHERE locktype = 'relation'"
                        " AND pid = %s AND relation = ANY (%s::oid[])",
                        (self.connection.info.backend_pid, list(orders.relations)),
                    )
                )
                other.execute("SET lock_timeout = '1s'")
                other.execute('SELECT count(*) FROM "Sales Dept".tv_order')
            return rows

    orders.writer = Watched(**vars(orders.writer))
    orders.merge(barrier=look)
    assert "RowExclusiveLock" in seen
    assert not {"AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock"} & set(seen)


def no_barrier(_writer: Writer, _relations: Sequence[int], _pace: Pace) -> tuple[str, ...]:
    return ()


def raced(
    orders: Bench,
    write: str,
    barrier: Callable[..., tuple[str, ...]] | None,
    end: str = "COMMIT",
) -> Merged:
    """Run `write` uncommitted, merge, then `end`: what a slow writer does to a merge."""
    shop = orders.database
    with shop.connect(autocommit=False) as slow, ThreadPoolExecutor() as pool:
        slow.execute(write.encode())
        merging = pool.submit(orders.merge, barrier)
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
            merging.result(30)
        slow.execute(end.encode())
        return merging.result(30)


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


@pytest.mark.both
@races
def test_a_slow_writer_does_not_leave_drift(shop: Database, race: Race) -> None:
    entity, drift, write = race
    shop.sql(drift)
    with bench(shop, entity) as made:
        raced(made, write, None)
        assert not made.wrong()


@pytest.mark.both
@races
def test_without_the_barrier_the_same_writer_leaves_drift(shop: Database, race: Race) -> None:
    entity, drift, write = race
    shop.sql(drift)
    with bench(shop, entity) as made:
        raced(made, write, no_barrier)
        assert made.wrong(), "the race was not provoked: the test above proves nothing"


@pytest.mark.both
def test_a_writer_that_is_prepared_while_it_is_waited_for_is_named(orders: Bench) -> None:
    """It is no running transaction then, and has not ended: its COMMIT PREPARED takes the base row."""
    shop = orders.database
    shop.sql(RACE_A[1])
    done = raced(orders, RACE_A[2], None, "PREPARE TRANSACTION 'meanwhile'")
    assert done.unknown == ("meanwhile",)
    shop.sql("COMMIT PREPARED 'meanwhile'")
    assert orders.wrong() == [("1",)], "the race was not provoked"


def test_a_writer_without_a_transaction_id_is_named_once_it_is_prepared(orders: Bench) -> None:
    """It holds a writer's lock when it is noted, and gets its id afterwards."""
    shop = orders.database
    shop.sql(RACE_A[1])
    done = raced(
        orders, 'LOCK "Sales Dept".tb_order IN ROW EXCLUSIVE MODE', None,
        f"{RACE_A[2]}; PREPARE TRANSACTION 'later'",
    )  # fmt: skip
    assert done.unknown == ("later",)
    shop.sql("ROLLBACK PREPARED 'later'")


def test_a_prepared_transaction_that_ends_after_it_was_noted_is_in_nobodys_way(
    shop: Database,
) -> None:
    """What it did is there when rows are compared."""
    shop.sql(f"BEGIN; {RACE_A[2]}; PREPARE TRANSACTION 'soon over'")
    snapshot = shop.snapshot()
    relations = edges(snapshot).upstream([snapshot.tview_by_entity["order"].table_oid])
    with shop.connect() as connection:
        noted = writers(connection, relations)
        assert set(noted.values()) == {"soon over"}
        connection.execute("COMMIT PREPARED 'soon over'")
        assert outlast(connection, noted, 5) == ()


@pytest.mark.parametrize("mine", ["a mine", "z mine"])
def test_of_prepared_transactions_those_are_named_that_write_these_tables(
    shop: Database, mine: str
) -> None:
    """Whatever the others are called, which write nothing that the TVIEW reads."""
    others = "UPDATE public.tb_customer SET name = name WHERE pk_customer = 1"
    write = "UPDATE public.tb_category SET name = name WHERE pk_category = 1"
    shop.sql(f"BEGIN; {others}; PREPARE TRANSACTION 'n others'")
    shop.sql(f"BEGIN; {write}; PREPARE TRANSACTION '{mine}'")
    snapshot = shop.snapshot()
    relations = edges(snapshot).upstream([snapshot.tview_by_entity["category"].table_oid])
    with shop.connect() as connection:
        noted = writers(connection, relations)
        assert list(noted.values()) == [mine]
        assert outlast(connection, noted, 5) == (mine,)
        connection.execute(f"ROLLBACK PREPARED '{mine}'".encode())
        assert outlast(connection, noted, 5) == ()


def brought(shop: Database, *, named: bool = False) -> list[Brought]:
    """Customers and what reads them; named: the one of STALE_CUSTOMER, an order, and what follows."""
    snapshot = shop.snapshot()
    customers, orders = (snapshot.tview_by_entity[e] for e in ("customer", "order"))
    found = shop.sql("SELECT max(pk_customer) FROM public.tb_customer").strip()
    return bring(
        shop.target(), snapshot, with_dependents(snapshot, [customers]), apply=True,
        named={customers.table_oid: [(found,)], orders.table_oid: [("9",)]} if named else None,
    )  # fmt: skip


STALE_CUSTOMER = """
INSERT INTO public.tb_customer (name, email) VALUES ('right', 'x');
BEGIN; UPDATE public.tv_customer SET data = '"wrong"' WHERE data->>'name' = 'right'; COMMIT;
"""
ORDER_OF_THEIRS = """INSERT INTO "Sales Dept".tb_order (fk_customer)
    SELECT pk_customer FROM public.tb_customer WHERE name = 'right'"""


@contextmanager
def commits_when_waited_for(
    shop: Database, where: str, run: Callable[[], object]
) -> Iterator[None]:
    """A slow writer's order of old rows, which it commits once `run` calls `where` to wait for it.

    The body runs after the writer wrote and before `run` starts, in a thread.
    """
    module, _, name = where.rpartition(".")
    real, waiting = getattr(sys.modules[module], name), threading.Event()

    def told(*args: Any) -> tuple[str, ...]:
        waiting.set()
        return real(*args)

    with shop.connect(autocommit=False) as slow, pytest.MonkeyPatch.context() as patch:
        slow.execute(ORDER_OF_THEIRS)
        yield
        patch.setattr(where, told)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert waiting.wait(60)
        slow.commit()
        thread.join(60)
        assert not thread.is_alive()


def test_who_read_old_rows_of_another_tview_is_waited_for(shop: Database) -> None:
    """An order inserted, uncommitted, embeds what its customer's row was before the merge."""
    shop.sql(STALE_CUSTOMER)
    with commits_when_waited_for(shop, "pgtv.rows.bring.wait_for_writers", lambda: brought(shop)):
        pass
    assert not differing(shop)


def test_without_that_wait_the_same_order_stays_wrong(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bring_module, "wait_for_writers", lambda *_: ())
    monkeypatch.setattr(bring_module, "older_writers", lambda *_: set())
    shop.sql(STALE_CUSTOMER)
    with shop.connect(autocommit=False) as slow:
        slow.execute(ORDER_OF_THEIRS)
        brought(shop)
        slow.commit()
    assert set(differing(shop)) == {'"Sales Dept".tv_order'}


def died_before_its_barrier(shop: Database) -> list[Brought]:
    """A run that is interrupted when it has written rows and waits; what it told."""
    told: list[Brought] = []

    def die(*_: Any) -> tuple[str, ...]:
        raise KeyboardInterrupt

    snapshot = shop.snapshot()
    chosen = with_dependents(snapshot, [snapshot.tview_by_entity["customer"]])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pgtv.rows.merge.wait_for_writers", die)
        bring(shop.target(), snapshot, chosen, apply=True, on_end=told.append)
    return told


def test_what_was_written_before_an_interruption_is_told(shop: Database) -> None:
    shop.sql(STALE_CUSTOMER)
    (one,) = died_before_its_barrier(shop)
    assert (one.tview, one.end, one.merged.updated) == ("public.tv_customer", End.UNKNOWN, 1)
    assert one.merged.keys and one.reason == "interrupted"


@pytest.mark.parametrize("named", [False, True], ids=("all rows", "by key"))
@pytest.mark.parametrize(
    "also",
    ["", """BEGIN; UPDATE "Sales Dept".tv_order SET data = '{}' WHERE pk_order = 9; COMMIT"""],
    ids=("equal", "differs"),
)
def test_the_run_after_one_that_died_waits_in_its_place(
    shop: Database, named: bool, also: str
) -> None:
    """All rows are equal by then, or some other is not, but for those that somebody computed before and
    has not committed."""
    shop.sql(STALE_CUSTOMER)

    def run() -> None:
        brought(shop, named=named)

    with commits_when_waited_for(shop, "pgtv.rows.bring.outlast", run):
        died_before_its_barrier(shop)
        shop.sql(also)
    assert not differing(shop)


def test_comparing_after_one_that_died_waits_too(shop: Database) -> None:
    """As `pgtv repair` does: what is equal is not written, and yet not settled."""
    shop.sql(STALE_CUSTOMER)
    snapshot = shop.snapshot()

    def run() -> None:
        settle(shop.target(), snapshot, snapshot.tviews, lambda _: None)

    with commits_when_waited_for(shop, "pgtv.rows.settle.outlast", run):
        died_before_its_barrier(shop)
    assert not differing(shop)


def test_a_writer_older_than_the_run_is_known_again_once_it_is_prepared(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sql(STALE_CUSTOMER)
    with shop.connect(autocommit=False) as slow:
        slow.execute(ORDER_OF_THEIRS)
        died_before_its_barrier(shop)

        def noted(connection: psycopg.Connection[Any], relations: Sequence[int], *_: Any) -> Any:
            found = older_writers(connection, relations, 0)
            slow.execute("PREPARE TRANSACTION 'older'")
            return found

        monkeypatch.setattr(bring_module, "older_writers", noted)
        ended = {b.tview: b for b in brought(shop)}
    assert ended['"Sales Dept".tv_order'].end is End.UNKNOWN
    assert "older" in (ended['"Sales Dept".tv_order'].reason or "")


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

    class Dies(Writer):
        def _run(self, statements: Sequence[str]) -> list[list[str]]:
            rows = super()._run(statements)
            if len(statements) > 1:  # they write
                raise psycopg.errors.QueryCanceled("cancelled")
            return rows

    whole = orders.writer
    orders.writer = Dies(**vars(whole))
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


HELD_ROW = "SELECT FROM public.tv_search WHERE pk_search = 50 FOR UPDATE"


def _beside_a_row_that_is_held(shop: Database) -> Brought:
    shop.sql("BEGIN; UPDATE public.tv_search SET words = 'x'; COMMIT")
    snapshot = shop.snapshot()
    search = [snapshot.tview_by_entity["search"]]
    with shop.connect(autocommit=False) as other, shop.connect() as looking:
        other.execute(HELD_ROW)
        with ThreadPoolExecutor() as pool:
            going = pool.submit(bring, shop.target(), snapshot, search, apply=True)
            left = "SELECT count(*) FROM public.tv_search WHERE words = 'x'"
            try:
                until(lambda: looking.execute(left.encode()).fetchone() == (1,))
            finally:
                other.commit()
            (one,) = going.result()
    return one


def test_all_but_the_rows_that_somebody_holds_are_written(shop18: Database) -> None:
    """A batch that meets another writer is cut in halves, down to the row that is held."""
    one = _beside_a_row_that_is_held(shop18)
    assert one.end is End.MERGED and one.merged.written == 100
    assert one.merged.retries >= 6, "100 rows are cut six times until one is left"
    assert not differing(shop18)


def test_rows_that_are_all_held_are_waited_for(
    shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the time until the barrier is over before the first of them is written."""
    attempts = []

    def counted(*args: Any, **kw: Any) -> Any:
        attempts.append(args)
        return write(*args, **kw)

    monkeypatch.setattr("pgtv.rows.merge.GROUP", 0.0)
    monkeypatch.setattr("pgtv.rows.merge.write", counted)
    held = "pk_search IN (1, 2)"
    shop18.sql(f"BEGIN; UPDATE public.tv_search SET words = 'x' WHERE {held}; COMMIT")
    snapshot = shop18.snapshot()
    search = [snapshot.tview_by_entity["search"]]
    with shop18.connect(autocommit=False) as other, ThreadPoolExecutor() as pool:
        other.execute(f"SELECT FROM public.tv_search WHERE {held} FOR UPDATE".encode())
        going = pool.submit(bring, shop18.target(), snapshot, search, apply=True)
        try:
            until(lambda: len(attempts) > 3 or going.done())  # both, each, and one of them again
        finally:
            other.commit()
        (one,) = going.result()
    assert one.end is End.MERGED and one.merged.written == 2
    assert not differing(shop18)


@pytest.mark.usefixtures("many")
def test_ranges_are_cut_too(shop18: Database) -> None:
    one = _beside_a_row_that_is_held(shop18)
    assert one.end is End.MERGED and one.at_least and one.merged.written == 100
    assert not differing(shop18)


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


def counted(made: Bench, rows: int) -> list[int]:
    """Merge in batches of so many rows; how many each wrote."""
    written: list[int] = []
    listed = made.listed()
    assert listed.more
    done = merge(
        [made.writer], made.subject, listed, made.relations, Pace(batch=rows),
        on_batch=lambda _, batch: written.append(batch.written),
    )  # fmt: skip
    assert sum(written) == done.written
    assert not done.unsettled
    assert done.rounds == 1
    assert not differing(made.database)
    return written


SOME_KINDS = """
UPDATE "Sales Dept".tv_order SET data = '{}' WHERE pk_order < 40;
DELETE FROM "Sales Dept".tv_order WHERE pk_order BETWEEN 100 AND 300;
INSERT INTO "Sales Dept".tv_order (pk_order, id, data)
    SELECT 1000 + g, gen_random_uuid(), '{}' FROM generate_series(1, 200) g
"""
FAR_OUTSIDE = """
UPDATE "Sales Dept".tv_order SET data = '{}';
INSERT INTO "Sales Dept".tv_order (pk_order, id, data)
    VALUES (-9223372036854775808, gen_random_uuid(), '{}'),
           (9223372036854775807, gen_random_uuid(), '{}')
"""


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("rows", [7, 60, 150])
@pytest.mark.parametrize(
    "drift",
    [
        'DELETE FROM "Sales Dept".tv_order WHERE pk_order > 100',
        'DELETE FROM "Sales Dept".tv_order WHERE pk_order <> 500',
        'SET LOCAL session_replication_role = replica; DELETE FROM "Sales Dept".tv_order',
        FAR_OUTSIDE,
        SOME_KINDS,
    ],
    ids=["above the greatest", "the newest is there", "empty", "far outside", "other kinds later"],
)
def test_no_batch_is_larger_than_it_may_be(orders: Bench, drift: str, rows: int) -> None:
    """Wherever keys lie, whichever side has them."""
    orders.database.sql(f"BEGIN; {drift}; COMMIT")
    written = counted(orders, rows)
    assert max(written) <= rows
    some = [n for n in written if n]  # ranges are gone through again where a kind is found later
    assert len(some) <= 4 * sum(written) / rows + 4, "and none is cut smaller for nothing"


OTHER_KEYS = """
SET ROLE shop_owner;
CREATE TABLE public.tb_token (pk int PRIMARY KEY, id uuid NOT NULL, word text NOT NULL, name text);
INSERT INTO public.tb_token SELECT g, md5(g::text)::uuid, 'wörd ' || g, 'n' || g % 7
    FROM generate_series(1, 300) g;
CREATE TABLE public.tv_token AS SELECT DISTINCT ON (t.id) t.id, t.pk AS pk_token, t.name
    FROM public.tb_token t ORDER BY t.id, t.pk;
CREATE TABLE public.tv_word AS SELECT DISTINCT ON (t.word) t.word, t.pk AS pk_word, t.name
    FROM public.tb_token t ORDER BY t.word, t.pk;
CREATE TABLE public.tv_pair AS SELECT t.pk AS pk_pair, t.word, count(t.name) AS name
    FROM public.tb_token t GROUP BY t.pk, t.word;
"""


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("entity", ["token", "word", "pair"])
@pytest.mark.parametrize("drift", ["DELETE FROM {}", "UPDATE {} SET name = NULL"])
def test_of_other_keys_no_more_are_listed_at_once(
    shop18: Database, entity: str, drift: str
) -> None:
    shop18.sql(OTHER_KEYS)
    shop18.sql(f"BEGIN; {drift.format(f'public.tv_{entity}')}; COMMIT")
    with bench(shop18, entity) as made:
        assert max(counted(made, 20)) <= 20


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
