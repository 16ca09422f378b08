#!/usr/bin/env python3
"""What writers and readers feel of a repair: their latencies beside one, against the same moments without.

usage: benchmarks/writers.py [--rows N] [--rounds 20] [--rate 100] [--major 18]

Two writers and a reader go on at a fixed rate from beginning to end, on one server. Short windows take
turns, in an order that is drawn: in one kind pgtv merges 1 % drift, in the other nothing runs for as long
as the merge before took. A statement counts for the window in which it was due, and its latency from the
moment at which it was due (as pgbench --rate has it), so that a wait is not hidden by statements that were
never sent. Percentiles are of all windows of a kind together: what else the machine does falls on both.
Prints one JSON line for programs and a table for people; exits 1 when the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from repair import EXTENSION, SETUP, Bench, schema

from pgtv.catalog.collect import collect
from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server
from pgtv.graph.select import resolve
from pgtv.session import Target, connect

GOAL = 1.10  # writers' 99th percentile against the control's
WRITE = "UPDATE tb_post SET title = 'Title ' || random() WHERE pk_post = %s"
READ = "SELECT data FROM tv_post WHERE pk_post = %s"


@dataclass
class Pace:
    """Statements at a fixed rate: when each was due, and how many seconds later it was done."""

    server: Server
    rows: int
    rate: float  # statements a second, of each session
    stop: threading.Event = field(default_factory=threading.Event)
    writes: list[tuple[float, float]] = field(default_factory=list)
    reads: list[tuple[float, float]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Pace:
        sessions = ((WRITE, self.writes, 1), (WRITE, self.writes, 2), (READ, self.reads, 3))
        for statement, into, seed in sessions:
            thread = threading.Thread(target=self._run, args=(statement, into, seed), daemon=True)
            thread.start()
            self.threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _run(self, statement: str, into: list[tuple[float, float]], seed: int) -> None:
        dice = random.Random(seed)
        with self.server.connect("bench") as connection:
            due = time.perf_counter() + dice.random() / self.rate
            while not self.stop.wait(max(due - time.perf_counter(), 0)):
                connection.execute(statement.encode(), (dice.randint(1, self.rows),))
                into.append((due, time.perf_counter() - due))
                due += 1 / self.rate


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--major", type=int, default=18)
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
        target = Target(dbname=server.conninfo("bench"), lock_timeout="1min")
        with connect(target) as connection:
            snapshot = collect(connection)
        bench = Bench(server, target, snapshot, resolve(snapshot, "tv_post"), given.rows)
        with Pace(server, given.rows, given.rate) as pace:
            windows = take_turns(bench, given.rounds)
        figures = judge(pace, windows) | {
            "benchmark": "writers", "rows": given.rows, "rounds": given.rounds, "rate": given.rate,
            "server": snapshot.server.version,
        }  # fmt: skip
    print(json.dumps(figures))
    return show(figures)


def take_turns(bench: Bench, rounds: int) -> dict[str, list[tuple[float, float]]]:
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
                _timed(windows[kind], lambda took=took: time.sleep(took))  # type: ignore[misc]
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
        writes = sorted(_within(pace.writes, spans))
        reads = sorted(_within(pace.reads, spans))
        found[kind] = {
            "seconds": round(sum(e - b for b, e in spans), 1), "writes": len(writes),
            "writer_p50_ms": _ms(writes, 0.5), "writer_p99_ms": _ms(writes, 0.99),
            "writer_longest_ms": _ms(writes, 1), "reader_p99_ms": _ms(reads, 0.99),
            "reader_longest_ms": _ms(reads, 1),
        }  # fmt: skip
    ratio = found["repair"]["writer_p99_ms"] / max(found["control"]["writer_p99_ms"], 0.001)
    return {"windows": found, "ratio": round(ratio, 2), "goal": GOAL, "met": ratio <= GOAL}


def _within(samples: list[tuple[float, float]], spans: list[tuple[float, float]]) -> list[float]:
    return [took for due, took in samples if any(b <= due < e for b, e in spans)]


def _ms(ordered: list[float], share: float) -> float:
    if not ordered:
        return 0.0
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 2)


def show(figures: dict[str, Any]) -> int:
    """A table for people; the exit code."""
    print(
        f"{figures['rows']:,} rows, {figures['rounds']} repairs of 1 %, PostgreSQL"
        f" {figures['server']}, each session {figures['rate']:g} statements a second"
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
