"""The database that repairs and verifications are measured on: posts that embed their authors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgtv.catalog import dialects
from pgtv.catalog.collect import collect
from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot, Tview
from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server
from pgtv.graph.select import resolve
from pgtv.rows.bring import bring
from pgtv.rows.compare import Wanted
from pgtv.rows.named import named
from pgtv.rows.run import Plan, verify_all
from pgtv.session import Target, connect

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "bench"
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB"}

# One author has ten posts. Owned by nobody special, as verification evaluates definitions as their owner.
SETUP = """
SET client_min_messages = error;
CREATE EXTENSION {extension};
CREATE ROLE keeper;
CREATE TABLE tb_user (pk_user bigint PRIMARY KEY, id uuid NOT NULL, name text NOT NULL);
CREATE TABLE tb_post (pk_post bigint PRIMARY KEY, id uuid NOT NULL, fk_user bigint NOT NULL,
                      title text NOT NULL);
INSERT INTO tb_user SELECT g, gen_random_uuid(), 'User ' || g FROM generate_series(1, {users}) g;
INSERT INTO tb_post SELECT g, gen_random_uuid(), 1 + (g::bigint * 7919) % {users},
                           'Title of post ' || g FROM generate_series(1, {rows}) g;
CREATE INDEX ON tb_post (fk_user);
ANALYZE;
CREATE TABLE tv_user AS SELECT u.pk_user, u.id, jsonb_build_object('name', u.name) AS data
    FROM tb_user u;
CREATE TABLE tv_post AS SELECT p.pk_post, p.id, p.fk_user,
        jsonb_build_object('title', p.title, 'author', vu.data) AS data
    FROM tb_post p JOIN tv_user vu ON vu.pk_user = p.fk_user;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO keeper;
ALTER TABLE tv_user OWNER TO keeper; ALTER TABLE tv_post OWNER TO keeper;
ALTER VIEW {schema}.public__tv_user OWNER TO keeper;
ALTER VIEW {schema}.public__tv_post OWNER TO keeper;
"""
DRIFT = """
SET session_replication_role = replica;
UPDATE tv_post SET data = data || '{{"title": "wrong"}}' WHERE pk_post % {every} = 0;
"""


@dataclass(frozen=True)
class Posts:
    """A throwaway server with `rows` posts, and what is done to their TVIEW."""

    server: Server
    target: Target
    snapshot: Snapshot
    tview: Tview
    rows: int

    @property
    def serial(self) -> Target:
        """The same without parallelism."""
        options = " options='-c max_parallel_workers_per_gather=0'"
        return Target(dbname=f"{self.target.dbname}{options}", statement_timeout="1h")

    def psql(self, sql: str) -> str:
        return self.server.psql(sql, DATABASE)

    def drift(self, every: int) -> None:
        """Make each row wrong whose key is a multiple of `every`."""
        self.psql(DRIFT.format(every=every))
        self.psql("VACUUM ANALYZE tv_post")
        self.psql("CHECKPOINT")

    def merge(self, jobs: int = 1, keys: Any = None) -> None:
        (one,) = bring(
            self.target, self.snapshot, [self.tview], apply=True, jobs=jobs, named=keys
        )  # fmt: skip
        assert one.end == "merged", one

    def refresh(self) -> None:
        """The extension's own."""
        schema = self.snapshot.extension.schema
        with connect(self.target, read_only=False) as connection:
            connection.execute(f"SELECT {schema}.pg_tviews_refresh('public.tv_post')".encode())

    def reconcile(self) -> None:
        """The extension's own comparison, which writes what differs and holds up no reader."""
        statement = dialects.named(self.snapshot.extension.generation).reconcile(self.tview.entity)
        assert statement
        with connect(self.target, read_only=False) as connection:
            connection.execute(statement.encode())

    def reported(self) -> Any:
        """The rows that differ, as a report of verify names them."""
        plan = Plan(self.snapshot, self.target, [self.tview], Wanted(limit=100_000))
        return named(verify_all(plan), self.snapshot).keys

    def wal(self) -> int:
        """Bytes of WAL written so far."""
        return int(self.psql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8"))


@contextlib.contextmanager
def posts(major: int, rows: int) -> Iterator[Posts]:
    """On a server of this major; where the extension is not installed for it, says so and exits 0."""
    folder = binaries.real(major)
    if folder is None:
        print("SKIPPED: the extension is not installed (tools/install-extension)")
        sys.exit(0)
    with new_server(folder, (EXTENSION,), SETTINGS) as server:
        server.create_database(DATABASE)
        schema = EXTENSION.removeprefix("pg_")
        users = max(rows // 10, 1)
        server.psql(
            SETUP.format(extension=EXTENSION, schema=schema, rows=rows, users=users), DATABASE
        )
        server.psql("VACUUM ANALYZE", DATABASE)
        target = Target(
            dbname=server.conninfo(DATABASE), statement_timeout="1h", lock_timeout="1min"
        )  # fmt: skip
        with connect(target) as connection:
            snapshot = collect(connection)
        yield Posts(server, target, snapshot, resolve(snapshot, "tv_post"), rows)
