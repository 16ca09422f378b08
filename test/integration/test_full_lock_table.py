"""What explain tells to type when the table of locks is full, where nobody can log in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from servers import TEMPLATE, Database, require_real, until

from pgtv.cluster.server import Server, new_server
from pgtv.explain.texts import table

pytestmark = pytest.mark.real
_STARTED = "SELECT pg_postmaster_start_time()"


@pytest.fixture
def server() -> Iterator[Server]:
    few = {"max_locks_per_transaction": "10", "max_connections": "30"}
    with new_server(require_real(18), ("pg_tviews",), few) as server:
        server.create_database(TEMPLATE)
        yield server


def test_the_holder_is_found_and_ended_from_the_host(server: Server) -> None:
    (typed,) = (m["type"] for m in table("messages") if m["id"] == "lock-table")
    shop = Database(server, TEMPLATE)
    with shop.connect() as administrator, shop.connect() as holder:
        started = administrator.execute(_STARTED).fetchone()
        # what a statement has taken when it fails stays taken: these are locks of the session
        for first in (0, 10_000_000):
            with pytest.raises(psycopg.errors.OutOfMemory, match="out of shared memory"):
                holder.execute(
                    f"SELECT pg_advisory_lock(g) FROM generate_series({first}, {first + 999_999}) g"
                )
        with pytest.raises(psycopg.OperationalError, match="out of shared memory"):
            shop.connect()
        counted = administrator.execute(typed[2].partition("   ")[0].encode()).fetchone()
        assert counted and counted[0] == holder.info.backend_pid
        done = subprocess.run(
            ["sh", "-c", typed[0]], capture_output=True, text=True, check=True
        )  # fmt: skip
        (line,) = re.findall(rf"^ *{counted[0]} .*$", done.stdout, flags=re.MULTILINE)
        assert f"postgres {TEMPLATE} " in line and line.endswith("idle")
        subprocess.run(
            ["sh", "-c", typed[1].replace("PID", str(counted[0]))], check=True
        )  # fmt: skip
        until(lambda: not Path(f"/proc/{counted[0]}").exists())
        with shop.connect() as again:
            assert again.execute(_STARTED).fetchone() == started, "nobody else was thrown out"
        assert administrator.execute("SELECT 1").fetchone() == (1,)
