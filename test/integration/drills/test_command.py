"""`pgtv drill` and the scripts, as people run them; nothing is left behind however they end."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from servers import require_real, until

from pgtv.cli.drill import _shared_out
from pgtv.drills import store
from pgtv.drills.crashes import RANDOM, _choices
from pgtv.drills.model import State
from pgtv.drills.registry import select
from pgtv.errors import UsageError

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "test" / "failure-modes"


@pytest.fixture(autouse=True)
def real() -> None:
    require_real(18)


def drill(*args: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgtv", "drill", *args],
        capture_output=True, text=True, check=False, timeout=120, **more,  # type: ignore[call-overload]
    )  # fmt: skip


def test_run_and_report(tmp_path: Path) -> None:
    files = {n: tmp_path / f"r.{n}" for n in ("json", "junit", "html")}
    done = drill("run", "queue-corruption/doubled", "oom/killed", "-v",
                 "--json", str(files["json"]), "--junit", str(files["junit"]),
                 "--html", str(files["html"]))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "doctor: trigger-doubled:public.tb_customer" in done.stderr
    assert "queue-corruption/doubled  yes   yes    yes          0" in done.stdout
    assert "oom/killed                SKIPPED" in done.stdout
    assert "2 drills · 1 passed · 1 skipped" in done.stdout
    document = json.loads(files["json"].read_text())
    jsonschema.validate(document, store.schema())
    assert document["outcomes"][0]["steps"][-1].startswith("DROP TRIGGER")
    assert 'failures="0" skipped="1"' in files["junit"].read_text()
    assert "queue-corruption/doubled" in files["html"].read_text()
    again = drill("report", str(files["json"]))
    assert (again.returncode, again.stdout) == (0, done.stdout)


def test_crashes_are_recorded(tmp_path: Path) -> None:
    file = tmp_path / "crashes.json"
    done = drill("crash", "--points", "2", "--seed", "1", "--major", "18", "-o", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.splitlines()[-1] == "2 crashes, 0 wrong"
    record = json.loads(file.read_text())
    assert (record["seed"], record["majors"]) == (1, {"18": 2})
    assert record["commit"] == store.commit()
    crashes = [dict(zip(record["columns"], c, strict=True)) for c in record["crashes"]]
    chosen = _choices(random.Random(1), 2, ())
    assert [(c["point"], c["kill"]) for c in crashes] == [
        (point.id if point else RANDOM, kill) for point, kill, _ in chosen
    ]
    for number, (crash, line) in enumerate(zip(crashes, done.stdout.splitlines(), strict=True), 1):
        assert crash["number"] == number and crash["lsn"] and crash["statement"]
        assert line.split()[:4] == [str(number), "18", crash["point"], crash["kill"]]
        assert line.endswith(crash["outcome"])


def test_a_soak_tells_its_rounds() -> None:
    done = drill("soak", "--minutes", "0.05", "--seed", "4", "--major", "18")
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = done.stdout.splitlines()
    assert rounds and all(r.endswith("  equal") for r in rounds)
    committed = sum(int(re.search(r"([\d,]+) committed", r)[1].replace(",", "")) for r in rounds)
    plural = "round" if len(rounds) == 1 else "rounds"
    assert done.stderr.splitlines()[-1] == (
        f"{len(rounds)} {plural}, {committed:,} acknowledged transactions, none lost"
    )


def test_nothing_could_run() -> None:
    done = drill("run", "oom/killed")
    assert done.returncode == 3
    assert "1 drill · 1 skipped" in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("run", "crash"), "there is no drill 'crash'"),
        (("run", "--major", "99"), "no PostgreSQL 99 with the extension is here"),
        (("run", "--image", "x", "--dsn", "y"), "--image goes with"),
        (("run", "--provider", "existing"), "needs --dsn"),
        (("run", "--dsn", "host=/nowhere", "triggers/disabled"), "cannot connect"),
        (("crash", "--at", "nowhere"), "there is no crash point 'nowhere'"),
        (("report", "/etc/hostname"), "is no report"),
        (("report", "/nowhere.json"), "cannot read /nowhere.json"),
    ],
)
def test_what_makes_no_sense(args: tuple[str, ...], said: str) -> None:
    done = drill(*args)
    assert done.returncode in (2, 3)
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_what_is_missing_is_said_with_what_the_command_can_do(tmp_path: Path) -> None:
    """soak and crash have no --image."""
    nothing = os.environ | {"PGTV_CACHE": str(tmp_path), "PATH": str(tmp_path)}
    for command, images in (("run", True), ("soak", False), ("crash", False)):
        done = drill(command, env=nothing)
        assert done.returncode == 3
        assert "no PostgreSQL with the extension is here" in done.stderr
        assert ("--image" in done.stderr) == images, command
    done = drill("soak", env=os.environ | {"PGTV_TEMP": "/nowhere"})
    assert done.returncode == 3
    assert "cannot make a server in /nowhere: No such file" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_it_ends(how: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pgtv", "drill", "run", "crash-recovery"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        mine = _servers(process.pid)
        until(lambda: mine() and any((r / "data" / "postmaster.pid").exists() for r in mine()))
        roots = mine()
        process.send_signal(how)
        process.wait(60)
        assert process.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130)
        until(lambda: not any(r.exists() for r in roots))
        until(lambda: not [c for c in _cwds() if any(c.is_relative_to(r) for r in roots)])
    finally:
        process.kill()
        assert process.stderr
        process.stderr.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_was_done_is_reported_also_when_it_is_interrupted(
    tmp_path: Path, how: signal.Signals
) -> None:
    files = {n: tmp_path / f"r.{n}" for n in ("json", "junit", "html")}
    told, said = tmp_path / "err", tmp_path / "out"
    with told.open("w") as err, said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "pgtv", "drill", "run", "circular-deps", "triggers",
             *(part for n, f in files.items() for part in (f"--{n}", str(f)))],
            stdout=out, stderr=err, text=True,
        )  # fmt: skip
        try:
            until(lambda: "passed" in told.read_text())
            process.send_signal(how)
            assert process.wait(60) == 130
        finally:
            process.kill()
    report = store.load(files["json"])
    assert report.outcomes and {o.state for o in report.outcomes} == {State.PASSED}
    assert all(f.stat().st_size for f in files.values())
    assert "passed" in said.read_text()


def _servers(pid: int):  # type: ignore[no-untyped-def]
    """The folders of servers that a process has started, by the reapers that wait for its end."""

    def found() -> list[Path]:
        roots = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except (OSError, UnicodeDecodeError):
                continue
            if "reaper" in words and parent == str(pid):
                roots.append(Path(words[words.index("reaper") + 1]))
        return roots

    return found


def _cwds() -> list[Path]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            found.append((entry / "cwd").readlink())
        except OSError:
            continue
    return found


def test_an_existing_server_keeps_what_it_had(tmp_path: Path) -> None:
    from pgtv.cluster.server import new_server

    with new_server(require_real(18), ("pg_tviews",)) as server:
        before = server.psql("SELECT datname FROM pg_database ORDER BY 1")
        started = server.psql("SELECT pg_postmaster_start_time()")
        dsn = server.conninfo()
        env = os.environ | {"PATH": f"{server.binaries / 'bin'}:{os.environ['PATH']}"}
        done = drill("run", "--dsn", dsn, "triggers/dropped", "crash-recovery", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        crashes = len(select(["crash-recovery"]))
        assert f"{crashes + 1} drills · 1 passed · {crashes} skipped" in done.stdout
        assert server.psql("SELECT datname FROM pg_database ORDER BY 1") == before
        assert server.psql("SELECT pg_postmaster_start_time()") == started
        left = server.psql(
            "SELECT count(*) FROM pg_roles WHERE rolname IN ('drill_app', 'shop_owner')"
        )
        assert left == "0\n"


def script(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [str(SCRIPTS / name), *args],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_script_alone() -> None:
    done = script("extension-failures/test-circular-deps.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "PASS circular-deps/matview (local 18): injected, detected, recovered, verified"
        in done.stdout
    )


def test_a_script_that_cannot_run_says_so() -> None:
    done = script("db-failures/test-oom.sh", "--major", "99")
    assert done.returncode == 3
    assert "SKIP oom" in done.stdout
    assert "PASS" not in done.stdout


def test_a_script_does_not_believe_what_it_did_not_see(tmp_path: Path) -> None:
    """A report that says passed, of a drill in which nothing was verified."""
    fake = tmp_path / "pgtv"
    outcome = {
        "mode": "oom", "variant": "x", "provider": "local", "major": 18, "state": "passed", "why": None,
        "injected": True, "detected": True, "recovered": True, "verified": False, "rows_lost": 0,
    }  # fmt: skip
    report = json.dumps({"outcomes": [outcome]})
    fake.write_text(
        f"#!/bin/sh\nwhile [ \"$1\" != --json ]; do shift; done\nprintf '%s' '{report}' >\"$2\"\n"
    )
    fake.chmod(0o755)
    os.environ["PGTV"] = str(fake)
    try:
        done = script("db-failures/test-oom.sh")
    finally:
        del os.environ["PGTV"]
    assert done.returncode == 2
    assert "FAIL oom/x (local 18): not seen: verified" in done.stdout


def test_every_mode_has_its_script() -> None:
    from pgtv.drills.registry import all_modes

    for mode in all_modes().values():
        path = SCRIPTS / f"{mode.script}.sh"
        assert os.access(path, os.X_OK), path
        assert f"simulate_failure {mode.id} " in path.read_text()


@pytest.mark.whole
def test_run_all(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(SCRIPTS / "run_all_tests.sh"), "--output", str(tmp_path)],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False, timeout=2400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert {f.name for f in tmp_path.iterdir()} == {"drills.json", "drills.xml", "drills.html"}


@pytest.mark.parametrize(
    ("args", "passed_on", "where"),
    [
        (("--output", "{}", "-v", "--keep"), ["-v", "--keep"], ["--provider", "both"]),
        (("-v", "--output", "{}", "--keep"), ["-v", "--keep"], ["--provider", "both"]),
        (("--dsn", "service=a b", "--output={}"), ["--dsn", "service=a b"], []),
        (("--image=my/image", "--output={}"), ["--image=my/image"], []),
        (("--output={}", "--provider", "local"), ["--provider", "local"], []),
    ],
)
def test_the_folder_of_reports_may_be_said_anywhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    passed_on: list[str],
    where: list[str],
) -> None:
    fake, folder = tmp_path / "pgtv", tmp_path / "a b"
    fake.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >'{tmp_path}/said'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PGTV", str(fake))
    done = script("run_all_tests.sh", *(a.format(folder) for a in args))
    assert done.returncode == 0, done.stderr
    said = (tmp_path / "said").read_text().splitlines()
    assert said[: 2 + len(passed_on)] == ["drill", "run", *passed_on]
    assert said[2 + len(passed_on) :][:2] == ["--json", f"{folder}/drills.json"]
    assert said[2 + len(passed_on) :][6:] == where


def test_what_local_servers_cannot_do_runs_in_containers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once, however many majors; where there is no image it stays with the local ones, who say why."""
    chosen = select(["oom/killed", "connection-loss/network-cut", "triggers/dropped"])
    monkeypatch.setattr("pgtv.cluster.container.image_here", lambda: True)
    shared = _shared_out(chosen, "both", None, None, (18, 17))
    told = [(p.name, [f"{m.id}/{v.id}" for m, v in of_it]) for p, of_it in shared]
    assert told == [
        ("local", ["triggers/dropped"]), ("local", ["triggers/dropped"]),
        ("docker", ["oom/killed", "connection-loss/network-cut"]),
    ]  # fmt: skip
    monkeypatch.setattr("pgtv.cluster.container.image_here", lambda: False)
    ((local, of_it),) = _shared_out(chosen, "both", None, None, (18,))
    assert (local.name, of_it) == ("local", chosen)
    with pytest.raises(UsageError, match="neither --image nor --dsn"):
        _shared_out(chosen, "both", "my/image", None, ())


def test_a_folder_of_reports_is_needed_after_its_option() -> None:
    done = script("run_all_tests.sh", "-v", "--output")
    assert done.returncode == 2
    assert "a folder is needed after --output" in done.stderr
