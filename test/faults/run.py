#!/usr/bin/env python3
"""Run the catalogue of faults and write the matrix.

usage: python test/faults/run.py [--major 18] [--write] [--detect] [-j N] [-v] [FAULT…]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from bench import prepare  # noqa: E402
from catalogue import FAULTS  # noqa: E402
from measure import Result, measure  # noqa: E402

from pgtv.cluster import binaries  # noqa: E402

MATRIX = HERE / "matrix.json"


def run(ids: list[str], major: int, cure: bool, log: Path | None) -> list[Result]:
    """Measure these faults one after the other on one server."""
    folder = binaries.real(major)
    if folder is None:
        raise SystemExit(f"the extension for PostgreSQL {major} is not installed")
    results = []
    with prepare(folder) as server:
        for one in ids:
            started = time.monotonic()
            try:
                result = measure(server, FAULTS[one], cure=cure)
            except Exception as e:
                result = Result(one, major, pgtv="broken", why=f"{type(e).__name__}: {e}")
                if "-v" in sys.argv:
                    traceback.print_exc()
            print(line(result, time.monotonic() - started), flush=True)
            if log:
                with log.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(result.as_dict(), ensure_ascii=False) + "\n")
            results.append(result)
    return results


def record(results: list[Result], major: int, *, cure: bool) -> None:
    """Into matrix.json, which the tests hold us to; what was not run keeps its row."""
    known = json.loads(MATRIX.read_text()) if MATRIX.exists() else {}
    for r in results:
        row = known.setdefault(r.id, {})
        row.setdefault("pgtv", {})[str(major)] = r.pgtv
        if cure:
            row |= {
                "does": r.does, "writes": r.writes, "health": r.health, "checks": r.checks,
                "cured": r.cured, "why": stable(r.why),
                "unprinted": sorted({u.split(":")[0] for u in r.unprinted}),
            }  # fmt: skip
    ordered = {i: known[i] for i in FAULTS if i in known}
    MATRIX.write_text(json.dumps(ordered, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def stable(text: str) -> str:
    """Without what changes from run to run: OIDs, names of databases, paths."""
    text = re.sub(r"/tmp/\S+", "…", text)
    text = re.sub(r"\bf\d+(_r)?\b", "DATABASE", text)
    return re.sub(r"\b\d{4,}\b", "N", text)[:240]


def line(r: Result, seconds: float) -> str:
    declared = FAULTS[r.id].does.value
    odd = "" if declared in r.does else f" (declared: {declared})"
    return (
        f"{r.id:36} {'+'.join(r.does) or '?':24}{odd} {','.join(r.writes):12} health {r.health:14}"
        f" pgtv {r.pgtv:8} cured {r.cured:4} {seconds:4.1f}s {','.join(r.checks)} {r.why[:200]}"
        + (f" ALARM {r.alarm}" if r.alarm else "")
        + (f" UNPRINTED {r.unprinted}" if r.unprinted else "")
        + (f" drift {r.drift}" if "-v" in sys.argv else "")
        + (f" {r.messages}" if "-v" in sys.argv else "")
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*")
    parser.add_argument("--major", type=int, default=18)
    parser.add_argument("--write", action="store_true", help="write matrix.json")
    parser.add_argument("--detect", action="store_true", help="no cures")
    parser.add_argument("-j", type=int, default=1)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--out", type=Path, help="a JSON line for each fault, as it ends")
    parser.add_argument("--take", type=Path, help="record what --out wrote, run nothing")
    args = parser.parse_args()
    if args.take:
        rows = map(json.loads, args.take.read_text(encoding="utf-8").splitlines())
        last = {row["id"]: Result(**row) for row in rows if row["id"] in FAULTS}
        record(list(last.values()), args.major, cure=not args.detect)
        return 0
    ids = [i for i in FAULTS if args.major in FAULTS[i].majors]
    if args.faults:
        ids = [i for i in ids if any(f in i for f in args.faults)]
    parts = [ids[n :: args.j] for n in range(args.j)]
    with ProcessPoolExecutor(args.j) as pool:
        results = [
            r
            for part in pool.map(
                run, parts, [args.major] * args.j, [not args.detect] * args.j, [args.out] * args.j
            )
            for r in part
        ]
    if args.write:
        record(results, args.major, cure=not args.detect)
    seen = [r for r in results if r.pgtv in ("before", "after", "verify")]
    print(
        f"{len(results)} faults · pgtv sees {len(seen)} · the health check"
        f" {sum(r.health != 'silent' for r in results)} · cured {sum(r.cured == 'yes' for r in results)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
