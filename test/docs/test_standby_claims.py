"""What FAILURE_MODES.md says of standbys where no drill has one, on a primary and its standby."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from servers import TEMPLATE, Database, require_real, shop_server, until

from pgtv.cluster.binaries import RELEASE
from pgtv.cluster.server import Server
from pgtv.drills import circular_deps, metadata_corruption, triggers
from pgtv.errors import ClusterError

pytestmark = pytest.mark.real
_names = itertools.count(1)
READ = "SET statement_timeout = '1s'; SELECT count(*) FROM public."
WRITE = "UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 5"


@dataclass(frozen=True)
class Pair:
    """A database as the primary and as the standby have it."""

    primary: Database
    standby: Database

    def replay(self) -> None:
        """Wait until the standby has all that was done on the primary, committed or not."""
        flushed = "SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'test', '')"
        lsn = self.primary.sql(f"{flushed}; SELECT pg_current_wal_lsn()").split()[-1]
        until(lambda: self.standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'") == "t\n")

    def read(self, query: str) -> str:
        """What the standby answers, which has to be what the primary does."""
        self.replay()
        answer = self.standby.sql(query)
        assert answer == self.primary.sql(query)
        return answer


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with shop_server(require_real(18)) as primary, primary.standby() as standby:
        standby.start()
        yield primary, standby


@pytest.fixture
def pair(servers: tuple[Server, Server], request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A fresh shop on both."""
    primary, standby = servers
    name = f"fresh_{next(_names)}"  # a name of its own: an earlier one goes later on the standby
    primary.create_database(name, TEMPLATE)
    pair = Pair(Database(primary, name), Database(standby, name))
    until(lambda: _there(pair.standby))
    pair.replay()
    yield pair
    primary.drop_database(name)


def _there(database: Database) -> bool:
    listed = f"SELECT count(*) FROM pg_database WHERE datname = '{database.name}'"
    return database.server.psql(listed, "postgres") == "1\n"


def test_a_transaction_prepared_while_suspended_keeps_readers_of_standbys_waiting(
    pair: Pair,
) -> None:
    pair.primary.sql(
        "BEGIN; SELECT tviews.pg_tviews_suspend_triggers();"
        " UPDATE public.tb_category SET name = 'x' WHERE pk_category = 1; PREPARE TRANSACTION 'held'"
    )
    try:
        pair.replay()
        with pytest.raises(ClusterError, match="statement timeout"):
            pair.standby.sql(READ + "tv_category")
        assert pair.standby.sql(READ + "tv_customer") == "200\n"
    finally:
        pair.primary.sql("ROLLBACK PREPARED 'held'")
    assert pair.read(READ + "tv_category") == "10\n"


@pytest.mark.parametrize(
    ("entity", "broken"),
    [
        ("basket", f"{circular_deps.OPEN_ORDERS} AND o.pk_order % 2 = 0"),
        ("customer", f"{metadata_corruption.ROW_GONE.sql}; {WRITE}"),
        ("customer", f"{triggers.DISABLED.sql}; {WRITE}"),
        ("customer", "TRUNCATE public.tv_customer"),
    ],
    ids=["a replaced view", "no registration", "no trigger", "emptied"],
)
def test_what_is_wrong_on_the_primary_is_wrong_on_its_standby(
    pair: Pair, entity: str, broken: str
) -> None:
    wrong = (
        f"SELECT count(*) FROM tviews.public__tv_{entity} v LEFT JOIN public.tv_{entity} t"
        f" USING (pk_{entity}) WHERE t.data IS DISTINCT FROM v.data"
    )
    assert pair.read(wrong) == "0\n"
    pair.primary.sql(broken)
    assert int(pair.read(wrong)) > 0


def test_standbys_read_while_writers_wait_or_are_refused(pair: Pair) -> None:
    with pair.primary.connect(autocommit=False) as holder:
        holder.execute(WRITE.encode())
        with pytest.raises(ClusterError, match="lock timeout"):
            pair.primary.sql(f"SET lock_timeout = '100ms'; {WRITE}")
        with pytest.raises(ClusterError, match="backpressure"):
            pair.primary.sql(
                "SET pg_tviews.max_queue_size = 1; UPDATE public.tb_product SET price = price + 1"
            )
        assert pair.read(READ + "tv_customer") == "200\n"
        holder.rollback()


def test_a_ddl_that_is_not_committed_keeps_readers_of_standbys_waiting(pair: Pair) -> None:
    with pair.primary.connect(autocommit=False) as session:
        session.execute(b"SELECT tviews.pg_tviews_drop('public.tv_basket')")
        pair.replay()
        with pytest.raises(ClusterError, match="statement timeout"):
            pair.standby.sql(READ + "tv_basket")
        session.rollback()
    assert pair.read(READ + "tv_basket") == "200\n"


def test_a_standby_reads_on_when_its_primary_is_killed(pair: Pair) -> None:
    pair.primary.sql(WRITE)
    pair.replay()
    pair.primary.server.kill()
    try:
        said = pair.standby.sql(
            "SELECT data->>'name' FROM public.tv_customer WHERE pk_customer = 5"
        )
        assert said == "written meanwhile\n"
        with pytest.raises(ClusterError, match="read-only transaction"):
            pair.standby.sql(WRITE)
    finally:
        pair.primary.server.start()


def test_standbys_serve_the_primarys_rows_while_an_edited_plan_stops_its_writers(
    pair: Pair,
) -> None:
    name = "SELECT data->>'name' FROM public.tv_customer WHERE pk_customer = 5"
    before = pair.read(name)
    pair.primary.sql(circular_deps.PLAN.sql)
    with pair.primary.connect() as writer, pytest.raises(psycopg.Error) as refused:
        writer.execute(WRITE.encode())
    assert refused.value.sqlstate == "42P17"
    assert pair.read(name) == before
    assert pair.read(READ + "tv_basket") == "200\n"


OLDER, NEWER = "0.1.0-beta.33", RELEASE


def test_standbys_serve_reads_while_the_primarys_library_is_of_another_release() -> None:
    """And go on doing so with that library themselves: their packages may come first or last."""
    name = "SELECT data->>'name' FROM public.tv_customer WHERE pk_customer = 5"
    with shop_server(require_real(18, OLDER)) as server, server.standby() as other:
        other.start()
        pair = Pair(Database(server, TEMPLATE), Database(other, TEMPLATE))
        before = pair.read(name)
        server.stop()
        server.binaries = require_real(18, NEWER)
        server.start()
        with pair.primary.connect() as writer, pytest.raises(psycopg.Error) as refused:
            writer.execute(WRITE.encode())
        assert refused.value.sqlstate == "55000"
        assert "library catalog revision" in str(refused.value)
        assert pair.read(name) == before
        other.stop()
        other.binaries = server.binaries
        other.start()
        assert pair.read(name) == before
        # the cure arrives there as well
        pair.primary.sql("ALTER EXTENSION pg_tviews UPDATE")
        pair.primary.sql(WRITE)
        assert pair.read(name) == "written meanwhile\n"
