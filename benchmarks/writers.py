#!/usr/bin/env python3
"""What writers and readers feel of a repair: their latencies beside one, against the same moments without.

usage: benchmarks/writers.py [--rows N] [--rounds 20] [--rate 100] [--major 18] [--own-core]

Two writers and a reader go on at a fixed rate from beginning to end, on one server. Short windows take
turns, in an order that is drawn: in one kind pgtv merges 1 % drift, in the other nothing runs for as long
as the merge before took. A statement counts for the window in which it was due, and its latency from the
moment at which it was due (as pgbench --rate has it), so that a wait is not hidden by statements that were
never sent. Percentiles are of all windows of a kind together: what else the machine does falls on both.

With --own-core the merge and its sessions run on one processor core and all the others on the rest, as on a
machine that has a core to spare: what is left are waits for locks and the disk, not for a processor.

Prints one JSON line for programs and a table for people; exits 1 when the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from typing import Any

from pace import Pace, percentile_ms, within
from posts import Posts, posts

GOAL = 1.10  # writers' 99th percentile against the control's


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--major", type=int, default=18)
    parser.add_argument("--own-core", action="store_true")
    given = parser.parse_args()
    with posts(given.major, given.rows) as bench:
        own, *rest = sorted(os.sched_getaffinity(0), reverse=True)
        if given.own_core:
            _begin_on(bench, rest)
        with Pace(bench, given.rate) as pace:
            if given.own_core:
                _begin_on(bench, [own])
            windows = take_turns(bench, given.rounds)
        figures = judge(pace, windows) | {
            "benchmark": "writers", "rows": given.rows, "rounds": given.rounds, "rate": given.rate,
            "server": bench.snapshot.server.version, "own_core": given.own_core,
        }  # fmt: skip
    print(json.dumps(figures))
    return show(figures)


def _begin_on(bench: Posts, cores: list[int]) -> None:
    """Processes and sessions that begin from now on run on these; those that run already stay."""
    assert cores and bench.server.process, "this machine has one core"
    for pid in (0, bench.server.process.pid):
        os.sched_setaffinity(pid, cores)


def take_turns(bench: Posts, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Begin and end of each window, by kind."""
    dice = random.Random(7)
    windows: dict[str, list[tuple[float, float]]] = {"control": [], "repair": []}
    bench.drift(100)
    took = _timed(windows["repair"], bench.merge)
    windows["repair"].clear()  # the first one warms up
    for _ in range(rounds):
        for kind in dice.sample(("control", "repair"), 2):
            if kind == "repair":
                bench.drift(100)
            time.sleep(0.5)  # what making the drift did is over
            if kind == "repair":
                took = _timed(windows[kind], bench.merge)
            else:
                _timed(windows[kind], lambda took=took: time.sleep(took))
    return windows


def _timed(into: list[tuple[float, float]], action: Any) -> float:
    began = time.perf_counter()
    action()
    ended = time.perf_counter()
    into.append((began, ended))
    return ended - began


def judge(pace: Pace, windows: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """Milliseconds of each kind of window, and their ratio."""
    found: dict[str, Any] = {}
    for kind, spans in windows.items():
        writes = within(pace.writes, spans)
        reads = within(pace.reads, spans)
        found[kind] = {
            "seconds": round(sum(e - b for b, e in spans), 1), "writes": len(writes),
            "writer_p50_ms": percentile_ms(writes, 0.5), "writer_p99_ms": percentile_ms(writes, 0.99),
            "writer_longest_ms": percentile_ms(writes, 1), "reader_p99_ms": percentile_ms(reads, 0.99),
            "reader_longest_ms": percentile_ms(reads, 1),
        }  # fmt: skip
    ratio = found["repair"]["writer_p99_ms"] / max(found["control"]["writer_p99_ms"], 0.001)
    return {"windows": found, "ratio": round(ratio, 2), "goal": GOAL, "met": ratio <= GOAL}


def show(figures: dict[str, Any]) -> int:
    """A table for people; the exit code."""
    print(
        f"{figures['rows']:,} rows, {figures['rounds']} repairs of 1 %, PostgreSQL"
        f" {figures['server']}, each session {figures['rate']:g} statements a second"
        + (", the repair on a core of its own" if figures["own_core"] else "")
    )
    for kind, w in figures["windows"].items():
        print(
            f"  {kind:8} {w['seconds']:6.1f} s  writers p50 {w['writer_p50_ms']:.1f}  p99"
            f" {w['writer_p99_ms']:.1f}  longest {w['writer_longest_ms']:.1f} ms;  readers p99"
            f" {w['reader_p99_ms']:.1f}  longest {w['reader_longest_ms']:.1f} ms"
        )
    word = "met" if figures["met"] else "MISSED"
    print(
        f"  writers' p99: {figures['ratio']:.2f} of the control, goal {figures['goal']:.2f}: {word}"
    )
    return 0 if figures["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
