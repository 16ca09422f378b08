"""Real pg_upgrades that die: what their logs say to do is done, and the old server is whole."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import refills
from servers import Database, old_database, require_real, shop_server

from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server, run_as
from pgtv.cluster.verbs import until
from pgtv.errors import ClusterError
from pgtv.lifecycle.upgrade.program import OPTIONS

pytestmark = [pytest.mark.slow, pytest.mark.real]


def told(path: Path, code: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "pgtv", "preflight", "upgrade", "--log", str(path), "--format", "json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def cluster(folder: Path) -> Iterator[Server]:
    with Server(folder, {}) as new:
        yield new.init("--no-data-checksums")


def upgrading(
    old: Server, new: Server, mode: str, *options: str, patience: int = 600
) -> subprocess.Popen[str]:
    """patience: seconds that pg_upgrade waits for a server to start or to stop."""
    old.stop()
    return subprocess.Popen(
        [
            str(new.binaries / "bin" / "pg_upgrade"), "-b", str(old.binaries / "bin"),
            "-B", str(new.binaries / "bin"), "-d", str(old.data), "-D", str(new.data), "-U", "postgres",
            "-s", str(new.root), "--no-sync", f"--{mode}", *options,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=new.root,
        env=new.env() | {"PGCTLTIMEOUT": str(patience)}, **run_as(),
    )  # fmt: skip


def start_as_printed(found: dict[str, Any], old: Server, folder: Path) -> None:
    """Everything up to the line that starts the old server, as its own user; its log goes to `folder`."""
    lines = found["commands"]
    at = next(i for i, line in enumerate(lines) if " start " in line)
    # its socket has to be where the test looks for it
    script = "\n".join(lines[: at + 1]).replace(" start ", f" -o '-k {old.root}' -w start ", 1)
    subprocess.run(
        ["/bin/sh", "-ec", script], cwd=folder, env=old.env(), check=True, timeout=60,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **run_as(),
    )  # fmt: skip


def stop(old: Server) -> None:
    old.program("pg_ctl", "-D", str(old.data), "-m", "fast", "-w", "-t", "300", "stop", timeout=310)


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_the_extension_in_the_way(mode: str, tmp_path: Path) -> None:
    """--check says nothing; then the restore dies, before any file is carried over."""
    with shop_server(require_real(17)) as old, cluster(require_real(18)) as new:
        said, _ = upgrading(old, new, mode).communicate(timeout=300)
        found = told(new.data, 1)
        ids = [p["id"] for p in found["points"]]
        assert ids == ["old-untouched", "extension-in-the-way", "then"]
        assert found["facts"]["died at"] == "Restoring database schemas in the new cluster"
        assert found["facts"]["start now"] == "the old server"
        then = found["points"][-1]["cure"]
        assert "pgtv upgrade detach -d shop_template --snapshot before.json --apply" in then
        printed = tmp_path / "printed.txt"
        printed.write_text(said)
        assert [p["id"] for p in told(printed, 1)["points"]] == ids, "it leads to the other logs"
        start_as_printed(found, old, new.root)
        assert (
            Database(old, "shop_template").sql("SELECT count(*) FROM public.tv_customer") == "200\n"
        )
        stop(old)


def test_an_early_release_in_the_way() -> None:
    """Its catalog names functions that the current library lacks. Detached as printed, it gets through."""
    with old_database() as old, cluster(require_real(18)) as new:
        upgrading(old.server, new, "copy").communicate(timeout=300)
        found = told(new.data, 1)
        assert [p["id"] for p in found["points"]] == [
            "old-untouched",
            "extension-in-the-way",
            "then",
        ]
        why = found["points"][1]
        assert "names tviewschema_in_wrapper" in why["text"]
        assert 'could not find function "tviewschema_in_wrapper"' in why["objects"][0]
        start_as_printed(found, old.server, new.root)
        program, *detach = shlex.split(
            next(c for c in found["points"][-1]["cure"] if c.startswith("pgtv upgrade detach"))
        )
        done = old.pgtv(*detach, "--receipt", "detach.json")
        assert (program, done.returncode) == ("pgtv", 0), done.stdout + done.stderr
        with cluster(require_real(18)) as anew:
            stop(old.server)
            process = upgrading(old.server, anew, "copy", *OPTIONS)
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 0, said


# so many that linking takes longer than seeing that it has begun; after swapping, all is the same
@pytest.mark.parametrize(("mode", "code", "tables"), [("link", 1, 1500), ("swap", 2, 50)])
def test_killed_while_files_are_carried_over(mode: str, code: int, tables: int) -> None:
    seventeen, eighteen = binaries.plain(17), binaries.plain(18)
    if seventeen is None or eighteen is None:
        pytest.skip("PostgreSQL 17 and 18 are needed: tools/install-servers")
    with new_server(seventeen) as old, cluster(eighteen) as new:
        old.create_database("many")
        made = f"SELECT format('CREATE TABLE t%s AS SELECT 1 AS x', g) FROM generate_series(1, {tables}) g"
        old.psql(f"{made} \\gexec", "many")
        process = upgrading(old, new, mode)
        aside = old.data / "global" / "pg_control.old"
        while process.poll() is None and not aside.exists():
            pass  # a pause here might be longer than what it waits for
        process.kill()
        process.communicate()
        found = told(new.data, code)
        assert found["facts"]["mode"] == f"--{mode}"
        if mode == "swap":
            assert found["points"][0]["id"] == "swapped"
            assert found["commands"] == []
            return
        assert found["points"][0]["id"] == "linked"
        start_as_printed(found, old, new.root)
        last = f"SELECT sum(x) FROM (SELECT x FROM t1 UNION ALL SELECT x FROM t{tables}) t"
        assert old.psql(last, "many") == "2\n"
        stop(old)


def held_worker(process: subprocess.Popen[str], new: Server) -> int | None:
    """The worker of the new server's last start, kept from ending; None if none was seen."""
    made, pid = new.root / "delete_old_cluster.sh", None
    while process.poll() is None and pid is None:
        pid = refills.held(new) if made.exists() else None
    return pid


def told_to_stop(new: Server) -> bool:
    """Whether pg_upgrade came to stopping it: the worker may be held with a lock that logins need."""

    def stopping() -> bool:
        logs = new.data.glob("pg_upgrade_output.d/*/log/pg_upgrade_server.log")
        return any("smart shutdown" in f.read_text().rpartition(" start ")[2] for f in logs)

    with contextlib.suppress(ClusterError):
        return bool(until(stopping, "the new server was not told to stop", 10))
    return False


@contextmanager
def preloaded() -> Iterator[tuple[Server, Server]]:
    with new_server(require_real(17), ("pg_tviews",)) as old, cluster(require_real(18)) as new:
        new.configure({"shared_preload_libraries": "pg_tviews"})
        old.psql("CREATE TABLE kept AS SELECT 1 AS x")
        yield old, new


def dies_at_its_end() -> bool:
    with preloaded() as (old, new):
        process = upgrading(old, new, "link", patience=12)
        worker = held_worker(process, new)
        if worker is None:
            return False
        stopping = told_to_stop(new)
        os.kill(worker, signal.SIGCONT)
        said, _ = process.communicate(timeout=60)
        if not stopping:
            return False
        assert process.returncode == 1, said
        found = told(new.data, 1)
        assert [p["id"] for p in found["points"]] == ["carried-over", "server-failed"]
        assert "server does not shut down" in found["points"][1]["text"]
        *commands, attach = found["commands"]
        assert attach.startswith("pgtv upgrade attach")
        script = "\n".join(commands).replace(" start ", f" -o '-k {new.root}' -w start ", 1)
        subprocess.run(
            ["/bin/sh", "-c", script], cwd=new.root, env=new.env(), check=True, timeout=60,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **run_as(),
        )  # fmt: skip
        assert new.psql("SELECT x FROM kept") == "1\n"
        stop(new)
        return True


def test_the_extension_holds_the_new_server_up() -> None:
    """Everything was carried over, and what is printed leads to the new server."""
    # what would hold it up can have ended before it was seen
    assert any(dies_at_its_end() for _ in range(10))


def test_as_printed_the_extension_holds_nothing_up() -> None:
    with preloaded() as (old, new):
        process = upgrading(old, new, "copy", *OPTIONS)
        assert held_worker(process, new) is None, "a worker was there"
        assert process.wait(60) == 0
