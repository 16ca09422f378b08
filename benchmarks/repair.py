#!/usr/bin/env python3
"""Repairing rows of a TVIEW of a million rows, as shares of the extension's own refresh in one run.

usage: benchmarks/repair.py [--rows N] [--major 18] [--load]

For drift of 0.01 %, 1 % and 100 % of the rows, and of the rows that a report of verify names: seconds
and WAL of pgtv's merge against pg_tviews_refresh. With --load the same beside writers and a reader:
the longest wait of each, and the writers' 99th percentile against a control without pgtv. Prints one
JSON line for programs and a table for people; exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgtv.catalog.collect import collect
from pgtv.catalog.model import Snapshot, Tview
from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server
from pgtv.graph.select import resolve
from pgtv.rows.bring import bring
from pgtv.rows.compare import Wanted
from pgtv.rows.named import named
from pgtv.rows.run import Plan, verify_all
from pgtv.session import Target, connect

GOALS = {"0.01 %": 0.15, "1 %": 0.25, "report": 0.01, "100 %": 1.2}
EXTENSION = "pg_" + "tviews"

SETUP = """
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


@dataclass
class Load:
    """Sessions that write and read at a steady pace, and how long each statement took, in seconds."""

    server: Server
    rows: int
    stop: threading.Event = field(default_factory=threading.Event)
    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        write = "UPDATE tb_post SET title = 'Title ' || random() WHERE pk_post = %s"
        read = "SELECT data FROM tv_post WHERE pk_post = %s"
        for statement, into, seed in ((write, self.writes, 1), (write, self.writes, 2),
                                      (read, self.reads, 3)):  # fmt: skip
            thread = threading.Thread(target=self._run, args=(statement, into, seed), daemon=True)
            thread.start()
            self.threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _run(self, statement: str, into: list[float], seed: int) -> None:
        dice = random.Random(seed)
        with self.server.connect("bench") as connection:
            while not self.stop.wait(0.002):
                started = time.perf_counter()
                connection.execute(statement.encode(), (dice.randint(1, self.rows),))
                into.append(time.perf_counter() - started)

    def figures(self) -> dict[str, float]:
        """Milliseconds."""
        ordered = sorted(self.writes) or [0.0]
        return {
            "writer_p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 1),
            "writer_longest_ms": round(ordered[-1] * 1000, 1),
            "reader_longest_ms": round(max(self.reads, default=0.0) * 1000, 1),
        }


@dataclass(frozen=True)
class Bench:
    server: Server
    target: Target
    snapshot: Snapshot
    tview: Tview
    rows: int

    def drift(self, every: int) -> None:
        self.server.psql(DRIFT.format(every=every), "bench")
        self.server.psql("VACUUM ANALYZE tv_post", "bench")
        self.server.psql("CHECKPOINT", "bench")

    def merge(self, jobs: int = 1, keys: Any = None) -> None:
        (one,) = bring(
            self.target, self.snapshot, [self.tview], apply=True, jobs=jobs, named=keys
        )  # fmt: skip
        assert one.end == "merged", one

    def refresh(self) -> None:
        with connect(self.target, read_only=False) as connection:
            connection.execute(f"SELECT {schema()}.pg_tviews_refresh('public.tv_post')".encode())

    def reported(self) -> Any:
        """The rows that differ, as a report of verify names them."""
        plan = Plan(self.snapshot, self.target, [self.tview], Wanted(limit=100_000))
        return named(verify_all(plan), self.snapshot).keys

    def wal(self) -> int:
        query = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8"
        return int(self.server.psql(query, "bench"))


def schema() -> str:
    return EXTENSION.removeprefix("pg_")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--major", type=int, default=18)
    parser.add_argument("--load", action="store_true")
    given = parser.parse_args()
    folder = binaries.real(given.major)
    if folder is None:
        print("SKIPPED: the extension is not installed (tools/install-extension)")
        return 0
    settings = {"shared_buffers": "512MB", "max_wal_size": "8GB"}
    with new_server(folder, (EXTENSION,), settings) as server:
        server.create_database("bench")
        setup = SETUP.format(
            extension=EXTENSION, schema=schema(), rows=given.rows, users=max(given.rows // 10, 1)
        )
        server.psql(f"SET client_min_messages = error; {setup}", "bench")
        server.psql("VACUUM ANALYZE", "bench")
        target = Target(
            dbname=server.conninfo("bench"), statement_timeout="1h", lock_timeout="1min"
        )
        with connect(target) as connection:
            snapshot = collect(connection)
        bench = Bench(server, target, snapshot, resolve(snapshot, "tv_post"), given.rows)
        figures = measure(bench, load=given.load)
    print(json.dumps(figures))
    return show(figures)


def measure(bench: Bench, *, load: bool) -> dict[str, Any]:
    """Every case: seconds, WAL in MB, and what others waited where there are others."""
    found: dict[str, dict[str, float]] = {}

    def case(name: str, action: Callable[[], None]) -> None:
        before, started = bench.wal(), time.perf_counter()
        if load:
            with Load(bench.server, bench.rows) as others:
                action()
                took = time.perf_counter() - started
            waits = others.figures()
        else:
            action()
            took, waits = time.perf_counter() - started, {}
        wal = round((bench.wal() - before) / 1e6, 1)
        found[name] = {"seconds": round(took, 2), "wal_mb": wal} | waits

    case("control", lambda: time.sleep(5 if load else 0))
    bench.drift(100)
    case("refresh", bench.refresh)
    for name, every, jobs in (("0.01 %", 10_000, 1), ("1 %", 100, 1), ("100 %", 1, 2)):
        bench.drift(every)
        case(name, lambda jobs=jobs: bench.merge(jobs))  # type: ignore[misc]
    bench.drift(10_000)
    keys = bench.reported()
    case("report", lambda: bench.merge(keys=keys))
    refresh = found["refresh"]["seconds"]
    ratios = {name: round(found[name]["seconds"] / refresh, 3) for name in GOALS}
    return {
        "benchmark": "repair", "rows": bench.rows, "server": bench.snapshot.server.version,
        "load": load, "cases": found, "ratios": ratios, "goals": GOALS,
        "met": {name: ratios[name] <= goal for name, goal in GOALS.items()},
    }  # fmt: skip


def show(figures: dict[str, Any]) -> int:
    """A table for people; the exit code."""
    beside = " beside two writers and a reader" if figures["load"] else ""
    print(f"{figures['rows']:,} rows, PostgreSQL {figures['server']}{beside}")
    labels = {"report": "0.01 %, from a report", "100 %": "100 %, two sessions"}
    for name, case in figures["cases"].items():
        text = f"  {labels.get(name, name):24} {case['seconds']:7.2f} s  {case['wal_mb']:7.1f} MB of WAL"
        if name in GOALS:
            word = "met" if figures["met"][name] else "MISSED"
            text += f"  {figures['ratios'][name]:.3f} of refresh, goal {GOALS[name]}: {word}"
        if "writer_p99_ms" in case:
            text += (
                f"\n  {'':24} writers p99 {case['writer_p99_ms']:.1f} ms, longest"
                f" {case['writer_longest_ms']:.1f} ms; reader's longest"
                f" {case['reader_longest_ms']:.1f} ms"
            )
        print(text)
    return 0 if all(figures["met"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
