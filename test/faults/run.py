#!/usr/bin/env python3
"""Run the catalogue of faults and write the matrix.

usage: python test/faults/run.py [--major 18] [--applied | --detect] [--write] [-j N] [-v] [FAULT…]

A fault is first seen, then cured by the SQL that doctor prints; with --applied it is cured by
`pgtv repair --apply` instead. A FAULT is a part of an id, or all of it with `=` before it.
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
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from applied import Applied, apply  # noqa: E402
from bench import prepare  # noqa: E402
from catalogue import FAULTS  # noqa: E402
from measure import Result, measure  # noqa: E402

from pgtv.cluster import binaries  # noqa: E402
from pgtv.cluster.place import place  # noqa: E402

MATRIX = HERE / "matrix.json"
NEWEST = 18


def run(ids: list[str], major: int, mode: str, log: Path | None) -> list[Result | Applied]:
    """Measure these faults one after the other on one server."""
    folder = binaries.real(major)
    if folder is None:
        raise SystemExit(f"the extension for PostgreSQL {major} is not installed")
    results: list[Result | Applied] = []
    with prepare(folder) as server:
        for one in ids:
            started = time.monotonic()
            result: Result | Applied
            try:
                if mode == "applied":
                    result = apply(server, FAULTS[one])
                else:
                    result = measure(server, FAULTS[one], cure=mode == "cured")
            except Exception as e:
                why = f"{type(e).__name__}: {e}"
                result = (
                    Applied(one, major, "broken", why=why)
                    if mode == "applied"
                    else Result(one, major, pgtv="broken", why=why)
                )
                if "-v" in sys.argv:
                    traceback.print_exc()
            print(line(result, time.monotonic() - started), flush=True)
            if log:
                with log.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(result.as_dict(), ensure_ascii=False) + "\n")
            results.append(result)
    return results


def record(results: list[Result | Applied], major: int, *, cure: bool) -> None:
    """Into matrix.json, which the tests hold us to; what was not run keeps its row."""
    known = json.loads(MATRIX.read_text()) if MATRIX.exists() else {}
    for r in results:
        row = known.setdefault(r.id, {})
        if isinstance(r, Applied):
            row.setdefault("applied", {})[str(major)] = applied_row(r)
            continue
        row.setdefault("pgtv", {})[str(major)] = r.pgtv
        if cure:
            row.setdefault("cured", {})[str(major)] = r.cured
        if major == NEWEST:
            row |= {
                "does": r.does, "writes": r.writes, "health": r.health, "checks": r.checks,
                "effects": r.effects,
            }  # fmt: skip
        if cure and major == NEWEST:
            row |= {
                "why": stable(r.why),
                "unprinted": sorted({u.split(":")[0] for u in r.unprinted}),
            }
    ordered = {i: known[i] for i in FAULTS if i in known}
    MATRIX.write_text(json.dumps(ordered, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def applied_row(r: Applied) -> dict[str, Any]:
    row: dict[str, Any] = {"cured": r.cured}
    if r.cured not in ("repair", "verify"):
        row["commands"] = [stable(c) for c in r.commands]
    if r.why:
        row["why"] = stable(r.why)
    if r.lost:
        row["lost"] = [stable(x) for x in r.lost]
    return row


def stable(text: str) -> str:
    """Without what changes from run to run: OIDs, names of databases, paths."""
    text = re.sub(r"/\S*before\.json", "SNAPSHOT", text)
    text = re.sub(rf"{re.escape(place())}/\S+", "…", text)
    text = re.sub(r"\bf\d+(_r)?\b", "DATABASE", text)
    return re.sub(r"\b\d{4,}\b", "N", text)[:240]


def line(r: Result | Applied, seconds: float) -> str:
    if isinstance(r, Applied):
        lost = f" LOST {r.lost}" if r.lost else ""
        how = "; ".join(r.commands[-2:]) if r.cured not in ("repair", "verify") else ""
        return f"{r.id:36} {r.cured:8} {seconds:5.1f}s {r.why[:300]}{lost} {how}"
    declared = FAULTS[r.id].does.value
    odd = "" if declared in r.does else f" (declared: {declared})"
    return (
        f"{r.id:36} {'+'.join(r.does) or '?':24}{odd} {','.join(r.writes):12} health {r.health:14}"
        f" pgtv {r.pgtv:8} cured {r.cured:4} {seconds:4.1f}s {','.join(r.checks)} {r.why[:200]}"
        + (f" ALARM {r.alarm}" if r.alarm else "")
        + (f" {r.messages}" if "-v" in sys.argv else "")
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*")
    parser.add_argument("--major", type=int, default=NEWEST)
    parser.add_argument("--write", action="store_true", help="write matrix.json")
    parser.add_argument("--detect", action="store_true", help="no cures")
    parser.add_argument("--applied", action="store_true", help="cured by pgtv repair --apply")
    parser.add_argument("-j", type=int, default=1)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--out", type=Path, help="a JSON line for each fault, as it ends")
    parser.add_argument("--take", type=Path, help="record what --out wrote, run nothing")
    args = parser.parse_args()
    mode = "applied" if args.applied else "seen" if args.detect else "cured"
    if args.take:
        rows = map(json.loads, args.take.read_text(encoding="utf-8").strip("\n").split("\n"))
        made = Applied if args.applied else Result
        last = {row["id"]: made(**row) for row in rows if row["id"] in FAULTS}
        record(list(last.values()), args.major, cure=mode == "cured")
        return 0
    ids = [i for i in FAULTS if args.major in FAULTS[i].majors]
    if args.faults:
        ids = [
            i
            for i in ids
            if any(f in f"={i}" if "=" not in f else f == f"={i}" for f in args.faults)
        ]
    parts = [ids[n :: args.j] for n in range(args.j)]
    with ProcessPoolExecutor(args.j) as pool:
        arguments = ([x] * args.j for x in (args.major, mode, args.out))
        results = [r for part in pool.map(run, parts, *arguments) for r in part]
    if args.write:
        record(results, args.major, cure=mode == "cured")
    print(f"{len(results)} faults · {summary(results)}")
    return 0


def summary(results: list[Result | Applied]) -> str:
    applied = [r for r in results if isinstance(r, Applied)]
    seen = [r for r in results if isinstance(r, Result)]
    if applied:
        ends = sorted({r.cured for r in applied})
        return " · ".join(f"{e} {sum(r.cured == e for r in applied)}" for e in ends)
    found = [r for r in seen if r.pgtv in ("before", "after", "verify")]
    return (
        f"pgtv sees {len(found)} · the health check {sum(r.health != 'silent' for r in seen)}"
        f" · cured {sum(r.cured == 'yes' for r in seen)}"
    )


if __name__ == "__main__":
    sys.exit(main())
