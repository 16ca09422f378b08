#!/usr/bin/env python3
"""How doctor's cost grows: the whole process over few and over many TVIEWs, in one run.

usage: benchmarks/doctor.py [--few 100] [--many 1000] [--runs 5]

Makes a database of each size on a throwaway server with the real extension, and takes the best of the
runs, the ratio per TVIEW (1.0 is linear; below is better), and the start-up of `pgtv --version` against
`python -c 'import click'`. Prints one JSON line for programs and a table for people; exits 1 when a goal
is missed. The goal of the clock holds for 1,000 TVIEWs or fewer, and in proportion for more.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgtv.cluster import binaries
from pgtv.cluster.server import new_server

# the whole process over 1,000 TVIEWs; a TVIEW of many against one of few; times importing click
GOALS = {"doctor_s": 1.0, "doctor_per_tview": 1.0, "version": 1.5}
TABLES = 20  # TVIEWs a group; each group has a base table of its own and a chain of embeds

GROUP = """
CREATE TABLE public.tb_g{g} (pk_g{g} bigint PRIMARY KEY, name text, email text);
INSERT INTO public.tb_g{g} SELECT i, 'n' || i, 'e' || i FROM generate_series(1, 20) i;
"""
FIRST = """
SELECT tviews.pg_tviews_create_or_replace('public.tv_{e}', $$
    SELECT b.pk_g{g} AS pk_{e}, jsonb_build_object('name', b.name, 'email', b.email) AS data
    FROM public.tb_g{g} b $$);
"""
NEXT = """
SELECT tviews.pg_tviews_create_or_replace('public.tv_{e}', $$
    SELECT b.pk_g{g} AS pk_{e}, jsonb_build_object('name', b.name, 'first', f.data) AS data
    FROM public.tb_g{g} b JOIN public.tv_t{g}_0 f ON f.pk_t{g}_0 = b.pk_g{g} $$);
"""


def tviews(count: int) -> str:
    """SQL for `count` TVIEWs."""
    parts = []
    for i in range(count):
        g, n = divmod(i, TABLES)
        if n == 0:
            parts.append(GROUP.format(g=g))
        parts.append((NEXT if n else FIRST).format(g=g, e=f"t{g}_{n}"))
    return "".join(parts) + "ANALYZE;"


@dataclass(frozen=True)
class Took:
    """Seconds of the clock, and of the processor in the process itself (the server's not counted)."""

    wall: float
    cpu: float


def best(command: list[str], runs: int, env: dict[str, str] | None = None) -> Took:
    """The fastest run by either measure; the exit code does not matter."""
    walls, cpus = [], []
    for _ in range(runs):
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - started)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Took(min(walls), min(cpus))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    folder = binaries.real(18)
    if folder is None:
        print("SKIPPED: the extension for PostgreSQL 18 is not installed: tools/install-extension")
        return 0
    pgtv = [sys.executable, "-m", "pgtv"]
    took: dict[tuple[str, int], Took] = {}
    with new_server(folder, ("pg_tviews",), {"max_locks_per_transaction": "1024"}) as server:
        for count in (given.few, given.many):
            name = f"n{count}"
            server.create_database(name)
            server.psql("CREATE EXTENSION pg_tviews", name)
            server.psql(f"SET client_min_messages = error; {tviews(count)}", name)
            env = server.env(name) | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
            for command in ("doctor", "status"):
                took[command, count] = best([*pgtv, command], given.runs, env)
    python = best([sys.executable, "-c", "import click"], 4 * given.runs)
    version = best([*pgtv, "--version"], 4 * given.runs)
    figures: dict[str, Any] = {"benchmark": "doctor", "few": given.few, "many": given.many}
    for command in ("doctor", "status"):
        few, many = took[command, given.few], took[command, given.many]
        grown = given.many / given.few
        figures |= {
            f"{command}_few_s": round(few.wall, 3),
            f"{command}_s": round(many.wall, 3),
            f"{command}_cpu_s": round(many.cpu, 3),
            f"{command}_per_tview": round(many.wall / few.wall / grown, 2),
        }
    figures["version"] = round(version.cpu / python.cpu, 2)
    goals = GOALS | {"doctor_s": GOALS["doctor_s"] * max(1, given.many / 1000)}
    figures["met"] = {name: figures[name] <= goal for name, goal in goals.items()}
    print(json.dumps(figures))
    show(figures, goals)
    return 0 if all(figures["met"].values()) else 1


def show(figures: dict[str, Any], goals: dict[str, float]) -> None:
    """The table for people."""

    def verdict(name: str) -> str:
        return f"   goal {goals[name]:g}: {'met' if figures['met'][name] else 'MISSED'}"

    print(f"{figures['many']:,} TVIEWs, the whole process")
    print(
        f"  doctor              {figures['doctor_s']:6.3f} s{verdict('doctor_s')}"
        f"   (processor {figures['doctor_cpu_s']:.3f} s)"
    )
    print(
        f"  … a TVIEW, of what one of {figures['few']:,} costs"
        f"  {figures['doctor_per_tview']:.2f}{verdict('doctor_per_tview')}"
    )
    print(
        f"  status              {figures['status_s']:6.3f} s"
        f"   (a TVIEW {figures['status_per_tview']:.2f} of what one of {figures['few']:,} costs)"
    )
    print(f"  --version, times import click  {figures['version']:.2f}{verdict('version')}")


if __name__ == "__main__":
    sys.exit(main())
