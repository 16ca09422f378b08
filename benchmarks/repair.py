#!/usr/bin/env python3
"""Repairing rows of a TVIEW of a million rows, as shares of the extension's own refresh in one run.

usage: benchmarks/repair.py [--rows N] [--major 18] [--load]

For drift of 0.01 %, 1 % and 100 % of the rows, and of the rows that a report of verify names: seconds
and WAL of pgtv's merge against pg_tviews_refresh, and of the extension's online reconcile for 1 %. With
--load the same beside writers and a reader: the longest wait of each, and the writers' 99th percentile
against a control without pgtv. Prints one JSON line for programs and a table for people; exits 1 when a
goal is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from pace import Pace, percentile_ms
from posts import Posts, posts

GOALS = {"0.01 %": 0.15, "1 %": 0.25, "report": 0.01, "100 %": 1.2}
RATE = 200  # statements a second of each session beside it


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--major", type=int, default=18)
    parser.add_argument("--load", action="store_true")
    given = parser.parse_args()
    with posts(given.major, given.rows) as bench:
        figures = measure(bench, load=given.load)
    print(json.dumps(figures))
    return show(figures)


def measure(bench: Posts, *, load: bool) -> dict[str, Any]:
    """Every case: seconds, WAL in MB, and what others waited where there are others."""
    found: dict[str, dict[str, float]] = {}

    def case(name: str, action: Callable[[], None]) -> None:
        before, started = bench.wal(), time.perf_counter()
        if load:
            with Pace(bench, RATE) as others:
                before, started = bench.wal(), time.perf_counter()
                action()
                took = time.perf_counter() - started
            waits = _waits(others)
        else:
            action()
            took, waits = time.perf_counter() - started, {}
        wal = round((bench.wal() - before) / 1e6, 1)
        found[name] = {"seconds": round(took, 2), "wal_mb": wal} | waits

    case("control", lambda: time.sleep(5 if load else 0))
    bench.drift(100)
    case("refresh", bench.refresh)
    bench.drift(100)
    case("reconcile", bench.reconcile)
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


def _waits(others: Pace) -> dict[str, float]:
    writes = sorted(took for _, took in others.writes)
    return {
        "writer_p99_ms": percentile_ms(writes, 0.99),
        "writer_longest_ms": percentile_ms(writes, 1),
        "reader_longest_ms": percentile_ms(sorted(took for _, took in others.reads), 1),
    }


def show(figures: dict[str, Any]) -> int:
    """A table for people; the exit code."""
    beside = " beside two writers and a reader" if figures["load"] else ""
    print(f"{figures['rows']:,} rows, PostgreSQL {figures['server']}{beside}")
    labels = {
        "report": "0.01 %, from a report", "100 %": "100 %, two sessions", "reconcile": "1 %, reconcile",
    }  # fmt: skip
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
