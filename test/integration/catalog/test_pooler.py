"""Behind PgBouncer in transaction mode: recognised, pinned, and nothing left behind for others."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from pooler import behind_pgbouncer
from servers import Database

from pgtv.catalog.collect import collect
from pgtv.session import Target, connect, snapshot_transaction


@pytest.fixture
def pooled(shop18: Database) -> Iterator[Target]:
    with behind_pgbouncer(shop18) as target:
        yield target


SETTINGS = (
    "search_path", "statement_timeout", "lock_timeout", "default_transaction_read_only",
    "idle_in_transaction_session_timeout", "role", "IntervalStyle",
)  # fmt: skip


def _settings(target: Target) -> list[tuple[str, ...] | None]:
    with psycopg.connect(target.conninfo(), autocommit=True) as other:
        return [other.execute(f"SHOW {name}".encode()).fetchone() for name in SETTINGS]


def test_recognised_and_nothing_left_behind(shop18: Database, pooled: Target) -> None:
    before = _settings(pooled)
    with connect(pooled) as connection:
        snapshot = collect(connection)
        with snapshot_transaction(connection):
            pinned = connection.execute("SHOW search_path").fetchone()
            read_only = connection.execute("SHOW transaction_read_only").fetchone()
    assert snapshot.server.pooler == "PgBouncer"
    assert snapshot.gaps == ()
    assert len(snapshot.tviews) == 9
    assert pinned == ("pg_catalog, pg_temp",)
    assert read_only == ("on",)
    # the one server connection goes to the next client as it was
    assert _settings(pooled) == before
    assert shop18.snapshot().server.pooler is None


def test_commands_behind_the_pooler(shop18: Database, pooled: Target) -> None:
    options = ["-h", "127.0.0.1", "-p", str(pooled.port), "-U", "postgres", "-d", shop18.name]
    before = _settings(pooled)
    done = shop18.pgtv("status", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "through PgBouncer" in done.stdout
    doctor = shop18.pgtv("doctor", *options)
    assert "unexpectedly" not in doctor.stderr, doctor.stderr
    assert _settings(pooled) == before


def test_role_counts_for_the_transaction_only(shop18: Database, pooled: Target) -> None:
    target = Target(
        dbname=pooled.dbname, host=pooled.host, port=pooled.port, user="postgres",
        role="shop_owner",
    )  # fmt: skip
    before = _settings(pooled)
    with connect(target) as connection:
        assert collect(connection).server.user == "shop_owner"
    assert _settings(pooled) == before
