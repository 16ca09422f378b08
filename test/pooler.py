"""PgBouncer in transaction mode before a throwaway server, with one server connection for all."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from servers import Database, until

from pgtv.cluster import binaries
from pgtv.cluster.server import run_as
from pgtv.session import Target


def program() -> str:
    """Installed, or unpacked by tools/test."""
    unpacked = binaries.cache() / "deb/pgbouncer/usr/sbin"
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", str(unpacked)))
    found = shutil.which("pgbouncer", path=path)
    if found is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    return found


@contextmanager
def behind_pgbouncer(database: Database, *logins: str) -> Iterator[Target]:
    """`database` through a pooler on the loopback interface; as postgres, or one of `logins`.

    The server sees the login of the first who came: PgBouncer keeps one connection for each.
    """
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = database.folder
    users, ini, log = root / "users.txt", root / "pgbouncer.ini", root / "pgbouncer.log"
    users.write_text("".join(f'"{name}" ""\n' for name in ("postgres", *logins)))
    ini.write_text(
        f"[databases]\n{database.name} = host={database.server.root} port=5432\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {users}\npool_mode = transaction\n"
        f"default_pool_size = 1\nlogfile = {log}\n"
        f"ignore_startup_parameters = extra_float_digits\n"
    )
    process = subprocess.Popen(
        [program(), str(ini)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, **run_as(),
    )  # fmt: skip
    target = Target(dbname=database.name, host="127.0.0.1", port=str(port), user="postgres")

    def answers() -> bool:
        try:
            psycopg.connect(target.conninfo()).close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text() if log.exists() else ""
            return False
        return True

    try:
        until(answers)
        yield target
    finally:
        process.terminate()
        process.wait(10)
