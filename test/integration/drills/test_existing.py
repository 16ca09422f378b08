"""Drills on somebody's server: what was made there goes however they end, and only what was made."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import require_real, until

from pgtv.cluster.provider import OnExisting, Wish
from pgtv.cluster.server import Server, new_server
from pgtv.drills import stage as stages
from pgtv.drills.engine import run
from pgtv.drills.model import Mode, Outcome, Sees, State, Variant
from pgtv.drills.queue_corruption import MODE as QUEUE
from pgtv.drills.registry import select
from pgtv.drills.stage import Stage
from pgtv.drills.statements import Break
from pgtv.drills.steps import nothing
from pgtv.errors import ConnectError

HARMLESS = Break("SELECT 1")
DATABASES = "SELECT datname FROM pg_database ORDER BY 1"
ROLES = "SELECT rolname FROM pg_roles ORDER BY 1"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many drills here are made so that what they wait for never comes."""
    monkeypatch.setattr("pgtv.drills.engine.DETECT_TIMEOUT", 1.0)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {"max_prepared_transactions": "0"}
    with new_server(require_real(18), ("pg_tviews",), settings) as server:
        server.psql("CREATE ROLE plain LOGIN CREATEDB CREATEROLE")
        yield server


@pytest.fixture(autouse=True)
def programs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{server.binaries / 'bin'}:{os.environ['PATH']}")


@pytest.fixture
def before(server: Server) -> str:
    return had(server)


def had(server: Server) -> str:
    return server.psql(DATABASES) + server.psql(ROLES)


def drill(stage: Stage, sees: Sees) -> Outcome:
    variant = Variant("v", "", HARMLESS, sees, nothing)
    return run(stage, Mode(0, "test", "Test", "none", (variant,)), variant)


def test_where_the_extension_cannot_be_made_nothing_is_left(server: Server, before: str) -> None:
    with Stage(OnExisting(server.conninfo(user="plain"))) as stage:
        first, second = (drill(stage, Sees()) for _ in range(2))
        assert had(server) == before
    assert first.state is State.FAILED
    assert "psql failed" in str(first.why)
    assert second.why == first.why
    assert had(server) == before


def test_where_the_shop_cannot_be_made_nothing_is_left(
    server: Server, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = stages.shop()
    monkeypatch.setattr(stages, "shop", lambda: shop + "SELECT 1/0;")
    with Stage(OnExisting(server.conninfo())) as stage:
        assert "division by zero" in str(drill(stage, Sees()).why)
    assert had(server) == before


def test_a_database_of_the_same_name_stays(server: Server, before: str) -> None:
    name = f"drill_template_{os.getpid()}"
    server.create_database(name)
    try:
        with Stage(OnExisting(server.conninfo())) as stage:
            assert "already exists" in str(drill(stage, Sees()).why)
        assert name in had(server)
    finally:
        server.drop_database(name)
    assert had(server) == before


def test_an_address_that_leads_nowhere_is_told_at_once() -> None:
    with pytest.raises(ConnectError, match="cannot connect"), Stage(OnExisting("host=/nowhere")):
        pass


def test_the_database_of_a_failed_drill_is_kept_where_that_is_asked(
    server: Server, before: str
) -> None:
    with Stage(OnExisting(server.conninfo()), keep=True) as stage:
        passed, failed = drill(stage, Sees()), drill(stage, Sees(errors=(("XX000", ""),)))
    assert (passed.state, passed.kept) == (State.PASSED, None)
    found = re.fullmatch(r"database (drill_\d+_\d+) of the existing server", failed.kept or "")
    assert found
    try:
        assert server.psql("SELECT count(*) FROM public.tv_customer", found[1]) == "200\n"
        assert set(had(server).split()) - set(before.split()) == {
            found[1], "drill_app", "shop_owner",
        }  # fmt: skip
    finally:
        server.drop_database(found[1])
        server.psql("DROP ROLE drill_app, shop_owner")
    assert had(server) == before


def test_drills_that_prepare_are_skipped_where_nothing_can_be_prepared(server: Server) -> None:
    chosen = [(m, v) for m, v in select([QUEUE.id]) if v.id.startswith("prepared-")]
    assert len(chosen) == 5
    with Stage(OnExisting(server.conninfo())) as stage:
        outcomes = [run(stage, m, v) for m, v in chosen]
    assert {o.state for o in outcomes} == {State.SKIPPED}
    assert {o.why for o in outcomes} == {
        "the server takes no prepared transactions: max_prepared_transactions = 0"
    }


def test_readers_are_measured_there_too(server: Server) -> None:
    with Stage(OnExisting(server.conninfo())) as stage:
        assert drill(stage, Sees()).readers == "right rows"
        with stage.scene(Wish(), own=False) as scene:
            assert scene.reader is None
    assert "drill_" not in server.psql(DATABASES)


TEMPLATE = "SELECT count(*) FROM pg_database WHERE datname LIKE 'drill_template_%'"
COPY = "SELECT count(*) FROM pg_database WHERE datname ~ '^drill_[0-9]+_[0-9]+$'"
PREPARED = "SELECT count(*) FROM pg_prepared_xacts WHERE database LIKE 'drill_%'"


@pytest.mark.parametrize(
    ("how", "once"),
    [
        (signal.SIGINT, COPY),
        (signal.SIGTERM, TEMPLATE),
        (signal.SIGKILL, TEMPLATE),
        (signal.SIGKILL, PREPARED),
    ],
)
def test_nothing_is_left_however_it_ends(
    real_server_18: Server, tmp_path: Path, how: signal.Signals, once: str
) -> None:
    """Neither databases nor roles, nor what is prepared in them; and no file on this machine."""
    server = real_server_18
    before = had(server)
    process = subprocess.Popen(
        [sys.executable, "-m", "pgtv", "drill", "run", "--dsn", server.conninfo(),
         "queue-corruption"],
        env=os.environ | {"TMPDIR": str(tmp_path), "PGTV_TEMP": str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: server.psql(once) != "0\n", 150)
        process.send_signal(how)
        assert process.wait(150) == (-signal.SIGKILL if how is signal.SIGKILL else 130)
        until(lambda: had(server) == before, 150)
        until(lambda: not list(tmp_path.iterdir()))
        assert server.psql(PREPARED) == "0\n"
    finally:
        process.kill()
        process.wait()
        # other tests have the server after this one, also where it failed
        until(lambda: had(server) == before, 150)


def test_what_is_kept_outlives_its_maker(real_server_18: Server, tmp_path: Path) -> None:
    """A database of a drill that failed stays with its roles, also where the next one is killed."""
    server = real_server_18
    before = had(server)
    code = (
        "import os, signal, sys\n"
        "sys.path[:0] = sys.argv[2:]\n"
        "from test_existing import HARMLESS, drill\n"
        "from pgtv.cluster.provider import OnExisting\n"
        "from pgtv.drills import engine\n"
        "from pgtv.drills.model import Sees\n"
        "from pgtv.drills.stage import Stage\n"
        "engine.DETECT_TIMEOUT = 1.0\n"
        "with Stage(OnExisting(sys.argv[1]), keep=True) as stage:\n"
        "    print(drill(stage, Sees(errors=(('XX000', ''),))).kept, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    done = subprocess.run(
        [sys.executable, "-c", code, server.conninfo(), *folders],
        env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"database (drill_\d+_\d+) of the existing", done.stdout)
    assert found, done.stdout + done.stderr
    try:
        until(lambda: server.psql(TEMPLATE) == "0\n")
        until(lambda: not list(tmp_path.iterdir()))
        assert set(had(server).split()) - set(before.split()) == {found[1], "drill_app"}
    finally:
        server.drop_database(found[1])
        server.psql("DROP ROLE drill_app")
    assert had(server) == before
