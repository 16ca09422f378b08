"""`verify` of 1,000,000 rows, as multiples of evaluating the view in the same run; and of what it
costs again by `--since last`, as a share of comparing every row.

A throwaway server with the real extension, one TVIEW of a million rows that embeds another. The measure
is EXPLAIN (ANALYZE, TIMING OFF) of the backing view, without parallelism, as are all but the last
figure. Each figure is the least of some repetitions, taken in turn so that whatever else the machine
does meets all of them. The client's memory is measured at a tenth of the rows too: `flat` is how many
times that it takes with all. Prints one JSON line for programs and a table for people; exits 1 when a
goal is missed.

usage: benchmarks/verify.py [--rows N] [--repeat N] [--major 18]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from typing import Any

from posts import DATABASE, ROOT, Posts, posts

from pgtv.cluster.server import Server
from pgtv.rows import statements
from pgtv.rows.compare import Wanted
from pgtv.rows.keyed import look_up
from pgtv.rows.run import Plan, verify_all
from pgtv.rows.subject import subjects
from pgtv.session import connect

GOALS = {"exact": 2.0, "fast": 1.6, "memory_mb": 150.0, "flat": 1.1, "key_ms": 50.0, "since": 0.05}
# What changes between two verifications, one in a hundred rows: here and there, or the newest ones.
CHANGES = {
    "since_none": None,
    "since_spread": "UPDATE tb_post SET title = title || '!' WHERE pk_post % 100 = 7",
    "since_newest": "UPDATE tb_post SET title = title || '!' WHERE pk_post > {rows} * 99 / 100",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--major", type=int, default=18)
    args = parser.parse_args()
    with posts(args.major, max(args.rows // 10, 1)) as bench:
        tenth = client_memory(bench.server)
    with posts(args.major, args.rows) as bench:
        figures = measure(bench, args.repeat, tenth)
    print(json.dumps(figures))
    show(figures)
    return 0 if all(figures["met"].values()) else 1


def measure(bench: Posts, repeat: int, tenth: float) -> dict[str, Any]:
    """All figures of one run; milliseconds unless the name says otherwise.

    tenth: the client's memory in MB at a tenth of the rows.
    """
    snapshot, rows, tview = bench.snapshot, bench.rows, [bench.tview]
    with connect(bench.target) as connection:
        subject = subjects(connection, snapshot)[bench.tview.table_oid]
    full_join = statements.count(subject, statements.Part(), exact_keys=False)
    plain = (
        f"SELECT count(*) FROM {subject.view} v FULL JOIN {subject.table} t USING (pk_post)"
        " WHERE NOT ROW(v.id, v.fk_user, v.data)::record *= ROW(t.id, t.fk_user, t.data)::record"
    )
    took: dict[str, list[float]] = {}
    for _ in range(repeat):
        with connect(bench.serial) as connection:
            for name, query in (
                ("view", f"SELECT * FROM {subject.view}"), ("full_join", plain),
                ("count", full_join),
            ):  # fmt: skip
                took.setdefault(name, []).append(explain(connection, query))
        for name, where, fast in (
            ("exact", bench.serial, False), ("fast", bench.serial, True),
            ("parallel", bench.target, False),
        ):  # fmt: skip
            (result,) = verify_all(Plan(snapshot, where, tview, Wanted(fast)))
            assert (result.state, result.rows) == ("equal", rows), result
            took.setdefault(name, []).append(result.seconds * 1000)
        report = look_up(bench.target, snapshot, tview[0], str(rows // 2))
        assert report.state == "equal"
        took.setdefault("key", []).append(report.seconds * 1000)
    for name, change in CHANGES.items():
        took[name] = since(bench, repeat, change)
    best = {name: round(min(values), 1) for name, values in took.items()}
    memory = client_memory(bench.server)
    ratios = {
        name: round(best[name] / best["view"], 2)
        for name in ("exact", "fast", "parallel", "full_join")
    } | {name: round(best[name] / best["exact"], 3) for name in CHANGES}
    flat = round(memory / tenth, 2)
    return {
        "benchmark": "verify",
        "rows": rows,
        "server": snapshot.server.version,
        "ms": best,
        "ratios": ratios,
        "key_ms": best["key"],
        "memory_mb": memory,
        "memory_mb_of_a_tenth": tenth,
        "flat": flat,
        "goals": GOALS,
        "met": {
            "exact": ratios["exact"] <= GOALS["exact"],
            "fast": ratios["fast"] <= GOALS["fast"],
            "key_ms": best["key"] <= GOALS["key_ms"],
            "memory_mb": memory <= GOALS["memory_mb"],
            "flat": flat <= GOALS["flat"],
            **{name: ratios[name] <= GOALS["since"] for name in CHANGES},
        },
    }


def since(bench: Posts, repeat: int, change: str | None) -> list[float]:
    """Milliseconds of verifying by what one change of rows left, each time from before it."""
    rows, tviews = bench.rows, [bench.tview]
    (full,) = verify_all(Plan(bench.snapshot, bench.serial, tviews, remember=True))
    assert full.baseline
    if change:
        bench.psql(change.format(rows=rows))
        bench.psql("VACUUM ANALYZE")
    took = []
    for _ in range(repeat):
        plan = Plan(bench.snapshot, bench.serial, tviews, baselines={full.table_oid: full.baseline})
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
        [sys.executable, "-c", counted], env=server.env(DATABASE), check=True, capture_output=True,
        text=True, cwd=ROOT,
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
    print(
        f"  {'  at a tenth of the rows':27} {figures['memory_mb_of_a_tenth']:8.1f} MB  "
        f" {figures['flat']:.2f}× with all   goal {figures['goals']['flat']}×:"
        f" {'met' if met['flat'] else 'MISSED'}"
    )


if __name__ == "__main__":
    sys.exit(main())
