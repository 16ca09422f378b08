"""Every verb on every provider: it does what it says, or refuses with the reason that was told before."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from servers import new_server, until

from pgtv.cluster import binaries, room
from pgtv.cluster.container import IMAGE, Container, new_container
from pgtv.cluster.existing import Existing
from pgtv.cluster.provider import Docker, Local, OnExisting, Provider
from pgtv.cluster.server import Server
from pgtv.cluster.verbs import Can, Verbs
from pgtv.errors import ClusterError

SMALL = (16, "nothing")
PROVIDERS = ["local", pytest.param("docker", marks=pytest.mark.container), "existing"]


@pytest.fixture(scope="module")
def local() -> Iterator[Server]:
    folder = binaries.plain()
    if folder is None:
        pytest.skip("no PostgreSQL binaries: tools/install-servers")
    with new_server(folder, small=None if room.cannot_mount() else SMALL) as server:
        yield server


@pytest.fixture(scope="module")
def docker() -> Iterator[Container]:
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode
    ):
        pytest.skip("no container engine answers, or its image is not made: tools/make-image")
    with new_container(settings={"fsync": "off"}, small=SMALL) as server:
        yield server


@pytest.fixture
def existing(local: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Existing]:
    monkeypatch.setenv("PATH", f"{local.binaries / 'bin'}", prepend=":")
    with Existing(local.conninfo()) as server:
        yield server


@pytest.fixture
def server(request: pytest.FixtureRequest, provider: str) -> Verbs:
    found: Verbs = request.getfixturevalue(provider)
    return found


@pytest.fixture
def told(request: pytest.FixtureRequest, provider: str) -> Provider:
    """The provider, which says beforehand what its servers cannot do."""
    if provider == "docker":
        return Docker(IMAGE)
    local: Server = request.getfixturevalue("local")
    return Local(local.binaries) if provider == "local" else OnExisting(local.conninfo())


# what shows that a verb works


def _one(server: Verbs, query: str, database: str = "postgres") -> Any:
    with server.connect(database) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def _away(server: Verbs) -> bool:
    try:
        server.connect(connect_timeout=5).close()
    except (psycopg.OperationalError, ClusterError):
        return True
    return False


def _stops(server: Verbs) -> None:
    for mode in ("smart", "fast", "immediate"):
        since = len(server.log_text())
        server.stop(mode)
        assert _away(server)
        assert server.wait_log(f"received {mode} shutdown request", since)
        server.start()
        assert not _away(server)


def _waits_for_sessions(server: Verbs) -> None:
    with server.connect():
        with pytest.raises(ClusterError, match=r"did not stop \(smart\) in 1 s"):
            server.stop("smart", timeout=1)
        assert _away(server)
    server.start()


def _restarts(server: Verbs) -> None:
    started = _one(server, "SELECT pg_postmaster_start_time()")
    server.restart()
    assert _one(server, "SELECT pg_postmaster_start_time()") > started


def _is_configured(server: Verbs) -> None:
    before = _one(server, "SHOW work_mem")
    server.configure({"work_mem": "5MB", "application_name": "it's so"})
    assert _one(server, "SHOW work_mem") == before
    server.reload()
    until(lambda: _one(server, "SHOW work_mem") == "5MB")
    assert "it's so" in server.psql("SELECT reset_val FROM pg_settings WHERE name = 'application_name'"
                                    " UNION SELECT setting FROM pg_file_settings")  # fmt: skip


def _is_killed(server: Verbs) -> None:
    since = len(server.log_text())
    server.kill()
    assert _away(server)
    server.start()
    assert server.wait_log("was interrupted", since)


def _loses_a_backend(server: Verbs) -> None:
    since = len(server.log_text())
    with server.connect() as session:
        server.kill_backend(session.info.backend_pid)
        line = server.wait_log(r"\(PID \d+\) was terminated by signal 9", since)
        assert f"PID {session.info.backend_pid})" in line
    assert server.wait_log("database system is ready to accept connections", since)


def _bounds_a_backend(server: Verbs) -> None:
    sort = (
        "SET work_mem = '1GB'; SELECT count(*) FROM (SELECT repeat(md5(g::text), 20) AS t"
        " FROM generate_series(1, 200000) g ORDER BY 1 OFFSET 1) s"
    )
    with server.connect() as free, server.connect() as bound:
        server.limit_backend(bound.info.backend_pid, 24 << 20)
        free.execute(sort)
        with pytest.raises(psycopg.errors.OutOfMemory):
            bound.execute(sort)


def _has_a_standby(server: Verbs) -> None:
    """Which follows, stands still when told, follows again, and becomes a server of its own."""
    server.psql("CREATE TABLE public.followed (n int)")
    with server.standby({"work_mem": "6MB"}) as other:
        other.start()
        assert _one(other, "SHOW work_mem") == "6MB"

        def there() -> int:
            return int(_one(other, "SELECT count(*) FROM public.followed"))

        server.psql("INSERT INTO public.followed VALUES (1)")
        until(lambda: there() == 1)
        other.pause_replay()
        server.psql("INSERT INTO public.followed VALUES (2)")
        point = _one(server, "SELECT pg_current_wal_flush_lsn()")
        until(lambda: _one(other, f"SELECT pg_last_wal_receive_lsn() >= '{point}'"))
        assert there() == 1
        other.resume_replay()
        until(lambda: there() == 2)
        other.promote()
        other.psql("INSERT INTO public.followed VALUES (3)")
        assert (there(), _one(server, "SELECT count(*) FROM public.followed")) == (3, 2)
    server.psql("DROP TABLE public.followed")


def _is_backed_up(server: Verbs) -> None:
    server.psql("CREATE TABLE public.saved AS SELECT 1 AS n")
    with server.backup({"work_mem": "7MB"}) as other:
        server.psql("INSERT INTO public.saved VALUES (2)")
        other.start()
        assert _one(other, "SELECT count(*) FROM public.saved") == 1
        assert _one(other, "SELECT pg_is_in_recovery()") is False
    server.psql("DROP TABLE public.saved")


def _has_a_small_disk(server: Verbs) -> None:
    with server.connect() as connection:
        folder = server.room_folder("tables")
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'".encode())
        connection.execute("CREATE TABLE public.large (t text) TABLESPACE small")
        more = "INSERT INTO public.large SELECT repeat('x', 500) FROM generate_series(1, 1000)"
        server.fill_disk()
        with pytest.raises(psycopg.errors.DiskFull):
            connection.execute(more)
        server.free_disk()
        connection.execute(more)
        connection.execute("DROP TABLE public.large")
        connection.execute("DROP TABLESPACE small")


def _is_far_away(server: Verbs) -> None:
    """A client whose network is cut stays a session; mended, the same client goes on."""
    server.psql("CREATE SEQUENCE public.heard")
    server.distant_client("BEGIN; SELECT nextval('public.heard');", "postgres")
    state = "SELECT state FROM pg_stat_activity WHERE application_name = 'distant client'"
    until(lambda: _one(server, state) == "idle in transaction")
    assert isinstance(server, Container)

    def heard() -> bool:
        asked = server._peer.exec_run(
            ["psql", "-X", "-c", "SELECT nextval('public.heard')"],
            environment={"PGCONNECT_TIMEOUT": "2"},
        )
        return bool(asked.exit_code == 0)

    assert heard()
    server.cut_network()
    assert not heard()
    assert _one(server, state) == "idle in transaction"
    server.mend_network()
    until(heard)
    if Can.PACKETS not in server.cannot:
        server.drop_packets()
        assert not heard()
        assert _one(server, state) == "idle in transaction"


def _has_databases(server: Verbs) -> None:
    server.create_database("verbs_first")
    server.psql("CREATE TABLE public.copied (n int)", "verbs_first")
    server.create_database("verbs_second", "verbs_first")
    try:
        assert _one(server, "SELECT count(*) FROM public.copied", "verbs_second") == 0
        assert server.target("verbs_first").dbname == server.conninfo("verbs_first")
    finally:
        server.drop_database("verbs_first")
        server.drop_database("verbs_second")
    there = _one(server, "SELECT count(*) FROM pg_database WHERE datname ~ '^verbs_'")
    assert there == 0


def _runs_programs(server: Verbs) -> None:
    assert server.psql("SELECT 1, 2") == "1|2\n"
    assert server.program("psql", "-XAt", "-c", "SELECT 3") == "3\n"
    with pytest.raises(ClusterError, match="psql failed"):
        server.psql("SELECT 1/0")
    folder = binaries.plain()
    assert folder
    asked = subprocess.run(
        [str(folder / "bin" / "psql"), "-XAt", "-c", "SELECT 4"],
        env=server.env(), capture_output=True, check=True,
    )  # fmt: skip
    assert asked.stdout == b"4\n"
    assert server.major >= 15
    server.wait_ready()
    server.check_alive()


def _logs(server: Verbs) -> None:
    since = len(server.log_text())
    server.psql("DO $$ BEGIN RAISE LOG 'a line of its own'; END $$")
    assert server.wait_log(r"a \w+ of its own", since) == "a line of its own"
    with pytest.raises(ClusterError, match="no line of the log matches 'never said'"):
        server.wait_log("never said", timeout=0.1)


@dataclass(frozen=True)
class Verb:
    """power: without it the verb is refused. call: with arguments as they could be. shows: one of
    several verbs' common proof."""

    power: Can | None
    call: Callable[[Any], object]
    shows: Callable[[Verbs], None]


VERBS = {
    "start": Verb(Can.CONTROL, lambda s: s.start(), _stops),
    "stop": Verb(Can.CONTROL, lambda s: s.stop(), _stops),
    "stop smart": Verb(Can.CONTROL, lambda s: s.stop("smart"), _waits_for_sessions),
    "restart": Verb(Can.CONTROL, lambda s: s.restart(), _restarts),
    "configure": Verb(Can.CONTROL, lambda s: s.configure({"work_mem": "5MB"}), _is_configured),
    "reload": Verb(Can.CONTROL, lambda s: s.reload(), _is_configured),
    "kill": Verb(Can.KILL, lambda s: s.kill(), _is_killed),
    "kill_backend": Verb(Can.KILL_BACKEND, lambda s: s.kill_backend(1), _loses_a_backend),
    "limit_backend": Verb(Can.BACKEND_MEMORY, lambda s: s.limit_backend(1, 1), _bounds_a_backend),
    "standby": Verb(Can.STANDBY, lambda s: s.standby(), _has_a_standby),
    "pause_replay": Verb(Can.REPLAY, lambda s: s.pause_replay(), _has_a_standby),
    "resume_replay": Verb(Can.REPLAY, lambda s: s.resume_replay(), _has_a_standby),
    "promote": Verb(Can.PROMOTE, lambda s: s.promote(), _has_a_standby),
    "backup": Verb(Can.BACKUP, lambda s: s.backup(), _is_backed_up),
    "room_folder": Verb(Can.ROOM, lambda s: s.room_folder("x"), _has_a_small_disk),
    "fill_disk": Verb(Can.ROOM, lambda s: s.fill_disk(), _has_a_small_disk),
    "free_disk": Verb(Can.ROOM, lambda s: s.free_disk(), _has_a_small_disk),
    "distant_client": Verb(Can.NETWORK, lambda s: s.distant_client("", "x"), _is_far_away),
    "cut_network": Verb(Can.NETWORK, lambda s: s.cut_network(), _is_far_away),
    "mend_network": Verb(Can.NETWORK, lambda s: s.mend_network(), _is_far_away),
    "drop_packets": Verb(Can.PACKETS, lambda s: s.drop_packets(), _is_far_away),
    "log_text": Verb(Can.LOG, lambda s: s.log_text(), _logs),
    "wait_log": Verb(Can.LOG, lambda s: s.wait_log("x"), _logs),
    **dict.fromkeys(
        ("create_database", "drop_database", "target", "conninfo"),
        Verb(None, lambda s: s.create_database("x"), _has_databases),
    ),
    **dict.fromkeys(
        ("psql", "program", "connect", "env", "major", "wait_ready", "check_alive"),
        Verb(None, lambda s: s.psql("SELECT 1"), _runs_programs),
    ),
}
# of whoever makes a server: tested with the leaving of it (test_existing, test_engine, test_containers)
OF_MAKERS = {"destroy", "kept_as", "makes_role", "keeps_database", "refuse"}


def test_no_verb_is_forgotten() -> None:
    public = {name for name in vars(Verbs) if not name.startswith("_")}
    data = {"password", "cannot", "keep", "scratch", *Verbs.__annotations__}
    assert {name.split()[0] for name in VERBS} == public - data - OF_MAKERS


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", VERBS)
def test_a_verb_works_or_is_refused_with_its_reason(name: str, server: Verbs) -> None:
    verb = VERBS[name]
    if verb.power in server.cannot:
        why = re.escape(f"cannot {verb.power}: {server.cannot[verb.power]}")
        with pytest.raises(ClusterError, match=why):
            verb.call(server)
    elif name == next(n for n, v in VERBS.items() if v.shows is verb.shows):
        verb.shows(server)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_provider_tells_beforehand_what_its_servers_refuse(
    told: Provider, server: Verbs
) -> None:
    assert {can for can in Can if told.missing([can])} == set(server.cannot)


def test_a_standby_of_somebodys_goes_on_replaying(local: Server) -> None:
    state = "SELECT pg_get_wal_replay_pause_state()"
    with local.standby() as standby, Existing(standby.start().conninfo()) as theirs:
        with pytest.raises(ClusterError, match="cannot hold up its replay: other people"):
            theirs.pause_replay()
        assert _one(theirs, state) == "not paused"
        standby.pause_replay()
        with pytest.raises(ClusterError, match="cannot hold up its replay: other people"):
            theirs.resume_replay()
        assert _one(theirs, state) == "paused"
        with pytest.raises(ClusterError, match="cannot promote it: other people"):
            theirs.promote()
        assert _one(theirs, "SELECT pg_is_in_recovery()")


def test_a_database_of_somebodys_is_not_dropped(local: Server, existing: Existing) -> None:
    local.create_database("theirs")
    try:
        with pytest.raises(ClusterError, match="database theirs was not made here"):
            existing.drop_database("theirs")
        assert local.psql("SELECT 1", "theirs") == "1\n"
    finally:
        local.drop_database("theirs")


@pytest.mark.container
def test_what_a_container_was_made_with_is_not_configured_away(docker: Container) -> None:
    """The server would not heed it, and whoever asked would not know."""
    with pytest.raises(ClusterError, match="made with fsync: it keeps that"):
        docker.configure({"fsync": "on", "work_mem": "4MB"})
    assert _one(docker, "SHOW fsync") == "off"


@pytest.mark.container
@pytest.mark.usefixtures("docker")
def test_a_container_whose_data_went_with_its_small_disk_is_not_started_empty() -> None:
    with new_container(small=(96, "data")) as lost:
        lost.stop()
        with pytest.raises(ClusterError, match="went with the stop"):
            lost.start()
