#!/usr/bin/env python3
"""pgbench's own load beside the repair of drifted TVIEWs over its million accounts, and the same load alone.

usage: benchmarks/bank.py [--scale 10] [--seeds N] [--first SEED] [--majors 18,17] [--seconds 60]

Each seed is a round beside `pgtv refresh --apply` and one without, of the same seconds. One account in
twenty, all tellers and one account's row in five hundred are wrong when a round begins. pgbench runs no
transaction again, and gives up at any SQLSTATE but 40001 and 40P01, which it counts. Prints a line a
round and one of JSON at the end; exits 1 when rows are wrong in the end, pgtv or pgbench failed, or a kind
of failure occurred that no control run had.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from bank import DRIFTED, OWNED, bank_of  # noqa: E402
from servers import Database  # noqa: E402

from pgtv.cluster import binaries  # noqa: E402
from pgtv.cluster.server import new_server, run_as  # noqa: E402
from pgtv.cluster.verbs import until  # noqa: E402

CLIENTS = 4
PATHS = {"PYTHONPATH": str(ROOT)}


@dataclass
class Round:
    """What pgbench said of one round; latency in milliseconds. wrong: rows that differed in the end."""

    seed: int
    transactions: int
    tps: float
    latency_ms: float
    serialization_failures: int
    deadlock_failures: int
    wrong: int = 0
    repair_seconds: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--majors", default="18,17")
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    majors: dict[str, Any] = {}
    for major in map(int, given.majors.split(",")):
        folder = binaries.real(major)
        if folder is None:
            print(f"SKIPPED {major}: the extension is not installed (tools/install-extension)")
            continue
        made: dict[str, list[Round]] = {"control": [], "pgtv": []}
        with new_server(folder, ("pg_tviews",), {"max_wal_size": "8GB"}) as server:
            bank = bank_of(server, "bank", given.scale)
            bank.sql(OWNED)
            for seed in range(given.first, given.first + given.seeds):
                for name in made:
                    made[name].append(one_round(bank, seed, given.seconds, pgtv=name == "pgtv"))
                    print(f"{major} {name:8} {made[name][-1]}", flush=True)
                bank.sql("VACUUM ANALYZE")
        majors[str(major)] = {name: [asdict(r) for r in rounds] for name, rounds in made.items()}
    print(
        json.dumps(
            {"benchmark": "bank", "scale": given.scale, "seconds": given.seconds, "majors": majors}
        )
    )
    return verdict(majors)


def one_round(bank: Database, seed: int, seconds: int, *, pgtv: bool) -> Round:
    """Raises AssertionError where pgtv or pgbench fails."""
    if pgtv:
        bank.sql(DRIFTED)
    began = bank.sql("SELECT count(*) FROM pgbench_history")
    pgbench = subprocess.Popen(
        [
            str(bank.server.binaries / "bin/pgbench"), "-n", "-c", str(CLIENTS), "-j", "2",
            "-T", str(seconds), "--max-tries", "1", "--failures-detailed", "--random-seed", str(seed),
            bank.name,
        ],
        env=bank.server.env(bank.name), cwd=bank.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **run_as(),
    )  # fmt: skip
    took = 0.0
    if pgtv:
        until(
            lambda: bank.sql("SELECT count(*) FROM pgbench_history") != began, "nobody writes", 60
        )
        started = time.monotonic()
        done = run_pgtv(bank, "refresh", "--apply", "--statement-timeout", "10min")
        took = round(time.monotonic() - started, 1)
        assert done.returncode == 0, done.stdout + done.stderr
        assert pgbench.poll() is None, "the load ended before the repair: raise --seconds"
    out, err = pgbench.communicate(timeout=seconds + 600)
    assert pgbench.returncode == 0, err
    told = Round(
        seed,
        int(_said(out, r"actually processed: (\d+)")),
        float(_said(out, r"tps = ([\d.]+)")),
        float(_said(out, r"latency average = ([\d.]+)")),
        int(_said(out, r"serialization failures: (\d+)")),
        int(_said(out, r"deadlock failures: (\d+)")),
        repair_seconds=took,
    )
    found = json.loads(run_pgtv(bank, "verify", "--format", "json").stdout)
    assert all(t["state"] in ("equal", "differs") for t in found["tviews"]), found
    told.wrong = sum(t["missing"] + t["extra"] + t["changed"] for t in found["tviews"])
    return told


def run_pgtv(bank: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgtv", *arguments], env=bank.server.env(bank.name) | PATHS,
        cwd=bank.folder, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip


def _said(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found.group(1)


def verdict(majors: dict[str, Any]) -> int:
    bad = 0
    for both in majors.values():
        bad += any(r["wrong"] for r in both["pgtv"])
        for kind in ("serialization_failures", "deadlock_failures"):
            ours, alone = (sum(r[kind] for r in both[n]) for n in ("pgtv", "control"))
            bad += bool(ours and not alone)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
