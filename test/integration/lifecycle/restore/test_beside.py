"""The hook stores a snapshot beside a backup, and what restores finds it there by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from servers import Database

HOOK = Path(__file__).parents[4] / "docs/operations/backup/snapshot-beside.sh"


def hook(source: Database, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{source.server.env()['PATH']}"
    return subprocess.run(
        [str(HOOK), *args], env=source.server.env(source.name) | {"PATH": path} | env,
        cwd=source.folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def taken(file: Path) -> int:
    return len(json.loads(file.read_text())["tviews"])


def test_beside_a_dump(shop: Database) -> None:
    root = shop.folder
    shop.program("pg_dump", "-Fc", "-f", "night's.dump", database=shop.name)
    done = hook(shop, "night's.dump")
    assert done.returncode == 0, done.stderr
    assert taken(root / "night's.dump.snapshot.json") == 9
    said = shop.pgtv("preflight", "dump", "night's.dump")
    assert said.returncode == 0 and f"of {shop.name}, taken " in said.stdout
    shop.sql("SELECT tviews.pg_tviews_drop('tv_segment')")
    shop.program("pg_dump", "-Fc", "-f", "night's.dump", database=shop.name)
    said = shop.pgtv("preflight", "dump", "night's.dump")
    assert said.returncode == 2 and "registrations-fewer" in said.stdout


def test_beside_a_base_backup_that_stays_whole(shop: Database) -> None:
    root = shop.folder
    for name, options in (("base", ()), ("tarred", ("-Ft",))):
        shop.program("pg_basebackup", "-D", name, "-c", "fast", *options)
        done = hook(shop, name)
        assert done.returncode == 0, done.stderr
        assert taken(root / f"{name}.snapshot.json") == 9
    shop.program("pg_verifybackup", "-q", "-n", "base")
    other = (root / "base" / "global" / "pg_control").read_bytes()
    (root / "base" / "global" / "pg_control").write_bytes(b"\1" * 8 + other[8:])
    done = hook(shop, "base")
    assert done.returncode == 3 and "is of another cluster" in done.stderr


def test_as_barman_calls_it(shop18: Database) -> None:
    root = shop18.folder
    (root / "20260301T020000").mkdir()
    (root / "20260301T020000").chmod(0o777)
    shop18.program("pg_basebackup", "-D", "20260301T020000/data", "-c", "fast")
    barman = {"BARMAN_BACKUP_DIR": str(root / "20260301T020000"), "BARMAN_PHASE": "post"}
    assert hook(shop18, **barman, BARMAN_STATUS="FAILED").returncode == 0
    kept = root / "20260301T020000" / "data.snapshot.json"
    assert not kept.exists()
    done = hook(shop18, **barman, BARMAN_STATUS="DONE")
    assert done.returncode == 0, done.stderr
    assert taken(kept) == 9


def test_where_no_file_can_lie_beside(shop18: Database) -> None:
    for _ in range(2):
        assert hook(shop18, "--dir", "snapshots", PGTV_KEEP="1").returncode == 0
    assert len(list((shop18.folder / "snapshots").iterdir())) == 1


def test_what_makes_no_sense(shop18: Database) -> None:
    for args, said in (
        ((), "usage:"),
        (("absent.dump",), "there is no backup"),
    ):
        done = hook(shop18, *args)
        assert done.returncode == 3 and said in done.stderr
    done = shop18.pgtv("snapshot", "save", "x.json", "--beside", "y")
    assert done.returncode == 3 and "--beside tells where" in done.stderr
    assert not (shop18.folder / "absent.dump.snapshot.json").exists()
