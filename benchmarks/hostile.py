#!/usr/bin/env python3
"""The repair of a drifted TVIEW of a million rows beside hostile writers, with a control run.

usage: benchmarks/hostile.py [--rows N] [--seeds N] [--first SEED] [--majors 18,17] [--no-barrier]

Each seed is a round with pgtv and one without, on the real extension. Prints a line a round, one of
JSON and a table at the end: rows left wrong, SQLSTATEs of writers with their rates in both, lock waits
of readers and exclusive locks that pgtv asked for. Exits 1 when contents differ, a reader waited, or a
writer saw an SQLSTATE that no control run had.

With --no-barrier the merge waits for nobody and does not compare what it wrote; then it exits 1 when no
row was left wrong, as the writers would prove nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from hostile import SETUP, Round, one_round, settings  # noqa: E402

from pgtv.cluster import binaries  # noqa: E402
from pgtv.cluster.server import new_server  # noqa: E402

WAYS: tuple[tuple[str, ...], ...] = ((), ("--jobs", "2"), ("--max-writer-wait", "100"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--majors", default="18,17")
    parser.add_argument("--no-barrier", action="store_true")
    given = parser.parse_args()
    found: dict[str, list[tuple[Round, Round]]] = {}
    for major in map(int, given.majors.split(",")):
        folder = binaries.real(major)
        if folder is None:
            print(f"SKIPPED {major}: the extension is not installed (tools/install-extension)")
            continue
        found[str(major)] = rounds(
            folder, given.rows, given.first, given.seeds, barrier=not given.no_barrier
        )
    document = summary(found, given.rows) | {"barrier": not given.no_barrier}
    print(json.dumps(document))
    code = show(document)
    if given.no_barrier:
        return 0 if any(b["pgtv"]["rows_left_wrong"] for b in document["majors"].values()) else 1
    return code


def rounds(
    folder: Path, rows: int, first: int, count: int, *, barrier: bool
) -> list[tuple[Round, Round]]:
    """(control, with pgtv) of each seed, on one server."""
    made = []
    with new_server(folder, ("pg_" + "tviews",), settings()) as server:
        server.create_database("hostile")
        setup = SETUP.format(rows=rows, users=max(rows // 100, 10))
        server.psql(f"SET client_min_messages = error; {setup}", "hostile")
        for seed in range(first, first + count):
            way = WAYS[seed % len(WAYS)]
            shown = one_round(
                server, "hostile", rows, seed, pgtv=True, arguments=way, barrier=barrier
            )
            control = one_round(server, "hostile", rows, seed, pgtv=False, seconds=shown.seconds)
            made.append((control, shown))
            print(
                f"seed {seed} {' '.join(way):22} {shown.seconds:6.1f} s, {shown.left} rows wrong,"
                f" {shown.transactions} transactions {dict(shown.states)};"
                f" control: {control.left} wrong, {control.transactions} {dict(control.states)}",
                flush=True,
            )
            server.psql("VACUUM ANALYZE", "hostile")
    return made


def summary(found: dict[str, list[tuple[Round, Round]]], rows: int) -> dict[str, Any]:
    """What a reader of the figures needs, and nothing of the machine."""
    return {
        "benchmark": "hostile",
        "rows": rows,
        "majors": {
            major: {"control": total([c for c, _ in pairs]), "pgtv": total([p for _, p in pairs])}
            for major, pairs in found.items()
        },
    }


def total(made: list[Round]) -> dict[str, Any]:
    states = sum((r.states for r in made), Counter[str]())
    transactions = sum(r.transactions for r in made)
    return {
        "seeds": [r.seed for r in made],
        "transactions": transactions,
        "rows_left_wrong": sum(r.left for r in made),
        "sqlstates": dict(sorted(states.items())),
        "failed_share": round(sum(states.values()) / max(transactions, 1), 5),
        "reads": sum(r.reads for r in made),
        "reader_lock_waits": sum(len(r.waits) for r in made),
        "longest_read_seconds": round(max((r.worst_read for r in made), default=0.0), 3),
        "exclusive_locks_asked": sum(len(r.asked) for r in made),
        "deadlocks_with_pgtv": sum(r.deadlocks for r in made),
    }


def show(document: dict[str, Any]) -> int:
    bad = 0
    for major, both in document["majors"].items():
        for name, figures in both.items():
            print(
                f"{major} {name:8} {json.dumps({k: v for k, v in figures.items() if k != 'seeds'})}"
            )
        new = set(both["pgtv"]["sqlstates"]) - set(both["control"]["sqlstates"])
        if not both["pgtv"]["deadlocks_with_pgtv"]:
            new -= {"40P01"}  # writers among themselves, as the server's log tells
        if new:
            print(f"{major}: SQLSTATEs that the control lacks: {', '.join(sorted(new))}")
        shown = both["pgtv"]
        bad += bool(new or shown["rows_left_wrong"] or shown["reader_lock_waits"])
        bad += bool(shown["exclusive_locks_asked"])
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
