"""Behind PgBouncer in transaction mode: recognised, pinned, and nothing left behind for others."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from servers import Database

from pgtv.catalog.collect import collect
from pgtv.cluster.server import run_as
from pgtv.session import Target, connect, snapshot_transaction


def program() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "pgbouncer"], check=False, capture_output=True,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
        found = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    return found


@pytest.fixture
def pooled(shop18: Database) -> Iterator[Target]:
    """The shop through a pooler on the loopback interface, with one server connection."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = shop18.server.root
    users = root / "users.txt"
    users.write_text('"postgres" ""\n')
    ini = root / "pgbouncer.ini"
    ini.write_text(
        f"[databases]\n{shop18.name} = host={root} port=5432\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\nauth_file = {users}\npool_mode = transaction\n"
        f"default_pool_size = 1\nlogfile = {root}/pgbouncer.log\n"
        f"ignore_startup_parameters = extra_float_digits\n"
    )
    ini.write_text(
        ini.read_text().replace(
            f"{shop18.name} = host={root} port=5432",
            f"{shop18.name} = host={root} port=5432 user=postgres",
        )
    )
    process = subprocess.Popen(
        [program(), str(ini)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, **run_as(),
    )  # fmt: skip
    target = Target(dbname=shop18.name, host="127.0.0.1", port=str(port), user="postgres")
    try:
        _wait(target, process, root / "pgbouncer.log")
        yield target
    finally:
        process.terminate()
        process.wait(10)


def _wait(target: Target, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(target.conninfo()).close()
            return
        except psycopg.OperationalError:
            said = log.read_text() if log.exists() else ""
            assert process.poll() is None and time.monotonic() < deadline, said


SETTINGS = (
    "search_path", "statement_timeout", "lock_timeout", "default_transaction_read_only",
    "idle_in_transaction_session_timeout", "role", "IntervalStyle",
)  # fmt: skip


def _settings(target: Target) -> list[tuple[str, ...] | None]:
    with psycopg.connect(target.conninfo(), autocommit=True) as other:
        return [other.execute(f"SHOW {name}".encode()).fetchone() for name in SETTINGS]


def test_recognised_and_nothing_left_behind(shop18: Database, pooled: Target) -> None:
    before = _settings(pooled)
    with connect(pooled) as connection:
        snapshot = collect(connection)
        with snapshot_transaction(connection):
            pinned = connection.execute("SHOW search_path").fetchone()
            read_only = connection.execute("SHOW transaction_read_only").fetchone()
    assert snapshot.server.pooler == "PgBouncer"
    assert snapshot.gaps == ()
    assert len(snapshot.tviews) == 9
    assert pinned == ("pg_catalog, pg_temp",)
    assert read_only == ("on",)
    # the one server connection goes to the next client as it was
    assert _settings(pooled) == before
    assert shop18.snapshot().server.pooler is None


def test_commands_behind_the_pooler(shop18: Database, pooled: Target) -> None:
    options = ["-h", "127.0.0.1", "-p", str(pooled.port), "-U", "postgres", "-d", shop18.name]
    before = _settings(pooled)
    done = shop18.pgtv("status", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "through PgBouncer" in done.stdout
    doctor = shop18.pgtv("doctor", *options)
    assert "unexpectedly" not in doctor.stderr, doctor.stderr
    assert _settings(pooled) == before


def test_role_counts_for_the_transaction_only(shop18: Database, pooled: Target) -> None:
    target = Target(
        dbname=pooled.dbname, host=pooled.host, port=pooled.port, user="postgres",
        role="shop_owner",
    )  # fmt: skip
    before = _settings(pooled)
    with connect(target) as connection:
        assert collect(connection).server.user == "shop_owner"
    assert _settings(pooled) == before
