"""`verify` of 1,000,000 rows, as multiples of evaluating the view in the same run; and of what it
costs again by `--since last`, as a share of comparing every row.

A throwaway server with the real extension, one TVIEW of a million rows that embeds another. The
measure is EXPLAIN (ANALYZE, TIMING OFF) of the backing view, without parallelism, as are all but the
last figure. Each figure is the least of some repetitions, taken in turn so that whatever else the
machine does meets all of them. Prints one JSON line for programs and a table for people; exits 1
when a goal is missed.

usage: benchmarks/verify.py [--rows N] [--repeat N] [--major 18]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgtv.catalog.collect import collect
from pgtv.catalog.model import Tview
from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server
from pgtv.graph.select import resolve
from pgtv.rows import statements
from pgtv.rows.compare import Wanted
from pgtv.rows.keyed import look_up
from pgtv.rows.run import Plan, verify_all
from pgtv.rows.subject import subjects
from pgtv.session import Target, connect

GOALS = {"exact": 2.0, "fast": 1.6, "memory_mb": 150.0, "key_ms": 50.0, "since": 0.05}
# What changes between two verifications, one in a hundred rows: here and there, or the newest ones.
CHANGES = {
    "since_none": None,
    "since_spread": "UPDATE tb_post SET title = title || '!' WHERE pk_post % 100 = 7",
    "since_newest": "UPDATE tb_post SET title = title || '!' WHERE pk_post > {rows} * 99 / 100",
}
EXTENSION = "pg_" + "tviews"

SETUP = """
CREATE EXTENSION {extension};
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
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--major", type=int, default=18)
    args = parser.parse_args()
    folder = binaries.real(args.major)
    if folder is None:
        print("SKIPPED: the extension is not installed (tools/install-extension)")
        return 0
    with new_server(folder, (EXTENSION,), {"shared_buffers": "512MB"}) as server:
        server.create_database("bench")
        server.psql(
            "SET client_min_messages = error;"
            + SETUP.format(extension=EXTENSION, rows=args.rows, users=max(args.rows // 10, 1)),
            "bench",
        )
        server.psql("VACUUM ANALYZE", "bench")
        figures = measure(server, args.rows, args.repeat)
    print(json.dumps(figures))
    show(figures)
    return 0 if all(figures["met"].values()) else 1


def measure(server: Server, rows: int, repeat: int) -> dict[str, Any]:
    """All figures of one run; milliseconds unless the name says otherwise."""
    target = Target(dbname=server.conninfo("bench"), statement_timeout="1h")
    serial = Target(
        dbname=server.conninfo("bench") + " options='-c max_parallel_workers_per_gather=0'",
        statement_timeout="1h",
    )
    with connect(target) as connection:
        snapshot = collect(connection)
        subject = subjects(connection, snapshot)[resolve(snapshot, "tv_post").table_oid]
    full_join = statements.count(subject, statements.Part(), exact_keys=False)
    plain = (
        f"SELECT count(*) FROM {subject.view} v FULL JOIN {subject.table} t USING (pk_post)"
        " WHERE NOT ROW(v.id, v.fk_user, v.data)::record *= ROW(t.id, t.fk_user, t.data)::record"
    )
    took: dict[str, list[float]] = {}
    tview = [resolve(snapshot, "tv_post")]
    for _ in range(repeat):
        with connect(serial) as connection:
            for name, query in (
                ("view", f"SELECT * FROM {subject.view}"), ("full_join", plain),
                ("count", full_join),
            ):  # fmt: skip
                took.setdefault(name, []).append(explain(connection, query))
        for name, where, fast in (
            ("exact", serial, False), ("fast", serial, True), ("parallel", target, False),
        ):  # fmt: skip
            (result,) = verify_all(Plan(snapshot, where, tview, Wanted(fast)))
            assert (result.state, result.rows) == ("equal", rows), result
            took.setdefault(name, []).append(result.seconds * 1000)
        report = look_up(target, snapshot, tview[0], str(rows // 2))
        assert report.state == "equal"
        took.setdefault("key", []).append(report.seconds * 1000)
    for name, change in CHANGES.items():
        took[name] = since(server, serial, tview, rows, repeat, change)
    best = {name: round(min(values), 1) for name, values in took.items()}
    memory = client_memory(server)
    ratios = {
        name: round(best[name] / best["view"], 2)
        for name in ("exact", "fast", "parallel", "full_join")
    } | {name: round(best[name] / best["exact"], 3) for name in CHANGES}
    return {
        "benchmark": "verify",
        "rows": rows,
        "server": snapshot.server.version,
        "ms": best,
        "ratios": ratios,
        "key_ms": best["key"],
        "memory_mb": memory,
        "goals": GOALS,
        "met": {
            "exact": ratios["exact"] <= GOALS["exact"],
            "fast": ratios["fast"] <= GOALS["fast"],
            "key_ms": best["key"] <= GOALS["key_ms"],
            "memory_mb": memory <= GOALS["memory_mb"],
            **{name: ratios[name] <= GOALS["since"] for name in CHANGES},
        },
    }


def since(
    server: Server, target: Target, tviews: list[Tview], rows: int, repeat: int, change: str | None
) -> list[float]:
    """Milliseconds of verifying by what one change of rows left, each time from before it."""
    with connect(target) as connection:
        snapshot = collect(connection)
    (full,) = verify_all(Plan(snapshot, target, tviews, remember=True))
    assert full.baseline
    if change:
        server.psql(change.format(rows=rows), "bench")
        server.psql("VACUUM ANALYZE", "bench")
    took = []
    for _ in range(repeat):
        plan = Plan(snapshot, target, tviews, baselines={full.table_oid: full.baseline})
        (result,) = verify_all(plan)
        assert result.since and (result.state, result.mode) == ("equal", "since"), result
        assert result.since.keys == (rows // 100 if change else 0), result
        took.append(result.seconds * 1000)
    return took


def explain(connection: Any, query: str) -> float:
    """Execution time in milliseconds as the server says it, without timing each node."""
    text = "EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, BUFFERS OFF) " + query
    lines = [row[0] for row in connection.execute(text.encode())]
    found = re.search(r"Execution Time: ([\d.]+)", lines[-1])
    assert found
    return float(found.group(1))


def client_memory(server: Server) -> float:
    """The peak of the whole command's resident memory, in MB (ru_maxrss of the child)."""
    # a process of its own counts, or the largest child of this one would be told
    counted = (
        "import resource, subprocess, sys;"
        "subprocess.run([sys.executable, '-m', 'pgtv', 'verify', 'tv_post'], check=True,"
        " stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", counted], env=server.env("bench"), check=True, capture_output=True,
        text=True, cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    return round(int(done.stdout) / 1024, 1)


def show(figures: dict[str, Any]) -> None:
    """A table for people."""
    ms, ratios, met = figures["ms"], figures["ratios"], figures["met"]
    print(f"{figures['rows']:,} rows, PostgreSQL {figures['server']}, no parallelism")
    print(f"  evaluating the view         {ms['view']:8.0f} ms   1.00×")
    for name, label in (
        ("exact", "verify"), ("fast", "verify --fast"), ("full_join", "FULL JOIN with *= (compare)"),
    ):  # fmt: skip
        goal = figures["goals"].get(name)
        said = f"   goal {goal}×: {'met' if met[name] else 'MISSED'}" if goal else ""
        print(f"  {label:27} {ms[name]:8.0f} ms   {ratios[name]:.2f}×{said}")
    print(f"  verify, server's workers    {ms['parallel']:8.0f} ms   {ratios['parallel']:.2f}×")
    for name, label in (
        ("since_none", "--since last, no change"),
        ("since_spread", "  1 % changed, all over"),
        ("since_newest", "  1 % changed, the newest"),
    ):
        word = "met" if met[name] else "MISSED"
        goal = figures["goals"]["since"]
        print(
            f"  {label:27} {ms[name]:8.0f} ms   {ratios[name]:.0%} of verify"
            f"   goal {goal:.0%}: {word}"
        )
    for name, label, unit in (
        ("key_ms", "verify --key", "ms"),
        ("memory_mb", "client's memory", "MB"),
    ):
        word = "met" if met[name] else "MISSED"
        print(
            f"  {label:27} {figures[name]:8.1f} {unit}   goal {figures['goals'][name]:.0f}: {word}"
        )


if __name__ == "__main__":
    sys.exit(main())
