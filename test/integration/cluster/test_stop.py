"""A server stops when told, also where the extension's start-up workers would hold it up."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
import refills
from servers import TEMPLATE, Database, require_real, shop_server

from pgtv.cluster import launcher
from pgtv.cluster.server import Server, new_server, run_as
from pgtv.cluster.verbs import until
from pgtv.errors import ClusterError
from pgtv.explain.texts import table

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def forgetful() -> Iterator[Server]:
    """The launcher waits for its last worker, which is kept from ending until the server is stopped."""
    with new_server(require_real(18), ("pg_tviews",)) as server:
        pid = None
        while pid is None:  # it can have ended before it was seen
            server.stop()
            server.start(wait=False)
            deadline = time.monotonic() + 0.5
            while pid is None and time.monotonic() < deadline:
                pid = refills.held(server)
        told = server.log_text().count("fast shutdown")

        def let_go() -> None:
            until(
                lambda: server.log_text().count("fast shutdown") > told, "it was not told to stop"
            )
            os.kill(pid, signal.SIGCONT)

        thread = threading.Thread(target=let_go)
        thread.start()
        yield server
        thread.join()


@pytest.fixture
def waiting() -> Iterator[Server]:
    """A worker waits to refill an UNLOGGED TVIEW, for a transaction that is prepared."""
    with shop_server(require_real(18)) as server:
        shop = Database(server, TEMPLATE)
        shop.sql(
            "SET synchronous_commit = on; BEGIN; INSERT INTO public.tb_category (name) VALUES ('prepared');"
            " PREPARE TRANSACTION 'held'"
        )
        server.kill()
        server.start()
        waits = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'pg_tviews rebuild' AND wait_event_type = 'Lock'"
        )
        deadline = time.monotonic() + 30
        while shop.sql(waits) != "1\n":
            assert time.monotonic() < deadline, server.log_text()
        yield server


@pytest.mark.parametrize("held", ["forgetful", "waiting"])
def test_it_stops(held: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(held)
    server.stop()
    assert "database system is shut down" in server.log_text().rpartition("fast shutdown")[2]


@pytest.mark.parametrize("held", ["forgetful", "waiting"])
def test_the_extension_would_hold_it_up(
    held: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else there is nothing to cancel, and the documents have to be told."""
    server: Server = request.getfixturevalue(held)
    monkeypatch.setattr(launcher, "NAMES", "nobody")
    with pytest.raises(ClusterError, match=r"did not stop \(fast\) in 4 s"):
        server.stop(timeout=4)


@pytest.mark.parametrize("held", ["forgetful", "waiting"])
def test_what_explain_tells_to_type_lets_it_go(held: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(held)
    (entry,) = (m for m in table("messages") if m["id"] == "stop-hangs")
    ctl = [str(server.binaries / "bin" / "pg_ctl"), "-D", str(server.data), "-m", "fast", "stop"]
    gave_up = subprocess.run(
        [*ctl, "-t", "3"], capture_output=True, text=True, check=False, **run_as()
    )
    assert gave_up.stderr.splitlines()[0] == entry["said"]
    subprocess.run(
        ["/bin/sh", "-c", entry["type"][0]],
        env={"PGDATA": str(server.data), "PATH": "/usr/bin:/bin"}, check=True,
    )  # fmt: skip
    assert server.process
    assert server.process.wait(30) == 0
    assert "database system is shut down" in server.log_text().rpartition("fast shutdown")[2]
