"""What a provider cannot do it says before anything is started; what a server cannot do it refuses."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from pgtv.cluster import room
from pgtv.cluster.container import new_container
from pgtv.cluster.existing import Existing
from pgtv.cluster.provider import Absent, Docker, Local, OnExisting, Wish
from pgtv.cluster.server import Server
from pgtv.cluster.verbs import Can, until
from pgtv.errors import ClusterError, ConnectError, UsageError


def test_reasons() -> None:
    local, docker = Local(Path("/nowhere")), Docker("image")
    assert local.missing([Can.CONTROL, Can.KILL, Can.STANDBY]) is None
    assert "not by a network" in str(local.missing([Can.KILL, Can.NETWORK]))
    assert "a whole server's memory" in str(local.missing([Can.MEMORY]))
    assert docker.missing([Can.MEMORY, Can.NETWORK, Can.ROOM]) is None
    assert docker.missing([Can.STANDBY, Can.BACKUP, Can.PROMOTE, Can.REPLAY]) is None
    assert "one release" in str(docker.missing([Can.OTHER_BINARIES]))
    existing = OnExisting("host=x")
    assert all(existing.missing([can]) for can in Can)
    assert existing.missing([]) is None


def test_small_disks_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.os, "geteuid", lambda: 1000)
    assert "needs root" in str(Local(Path("/nowhere")).missing([Can.ROOM]))


def test_bounds_need_prlimit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Local(Path("/nowhere")).missing([Can.BACKEND_MEMORY]) is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert "no prlimit" in str(Local(Path("/nowhere")).missing([Can.BACKEND_MEMORY]))


def test_wishes() -> None:
    assert Wish().plain
    for wish in (Wish({"a": "b"}), Wish(small=(8, "data")), Wish(memory=1), Wish(major=18)):
        assert not wish.plain
    with pytest.raises(Absent, match=r"9\.9 is here"):
        Local(Path("/nowhere")).make(Wish(major=18, release="9.9"))
    with pytest.raises(Absent, match="one release"):
        Docker("image").make(Wish(release="9.9"))
    with pytest.raises(ClusterError, match="taken as it is"):
        OnExisting("host=x").make(Wish(memory=1))


def test_an_existing_server_refuses_what_destroys() -> None:
    server = Existing("postgresql://me:secret@db1:5433/shop")
    try:
        for verb in (
            server.start, server.stop, server.kill, server.reload, server.fill_disk, server.standby,
            server.backup, server.promote, server.cut_network, lambda: server.kill_backend(1),
            lambda: server.configure({"a": "b"}), lambda: server.limit_backend(1, 1),
            lambda: server.room_folder("x"), lambda: server.distant_client("", ""), server.log_text,
        ):  # fmt: skip
            with pytest.raises(ClusterError, match=r"other people|everybody"):
                verb()  # type: ignore[operator]
        assert "secret" not in server.conninfo("other")
        assert "dbname=other" in server.conninfo("other")
        assert server.password == "secret"
    finally:
        server.destroy()
    assert not Path(server.place).exists()


def test_a_database_of_anothers_is_nothing_to_clear_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is killed before the server has refused to make it must not have it dropped."""
    server, there, noted = Existing("host=x"), MagicMock(), list[tuple[str, str]]()
    monkeypatch.setattr(server, "connect", lambda: there)
    monkeypatch.setattr(server._reaper, "note", lambda *a, **_: noted.append(a))
    try:
        answer = there.__enter__.return_value.execute.return_value.fetchone
        answer.return_value = ()
        with pytest.raises(ClusterError, match="shop already exists"):
            server.create_database("shop")
        assert noted == []
        answer.return_value = None
        server.create_database("shop")
        assert noted == [("database", "shop")]
    finally:
        server.destroy()


def test_what_is_no_conninfo_never_shows_the_password() -> None:
    with pytest.raises(UsageError) as refused:
        Existing("postgresql://me:secret@db1:port/x y=z")
    assert "secret" not in str(refused.value) + str(refused.value.hint)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(ConnectError):
        OnExisting("host=/nowhere").make(Wish())


def test_a_full_disk_is_the_only_error_that_filling_expects(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        room.fill(tmp_path / "not there")
    room.free(tmp_path)  # nothing to free is no error


def test_until() -> None:
    answers = iter([None, 0, "yes"])
    assert until(lambda: next(answers), "never") == "yes"
    with pytest.raises(ClusterError, match=r"never \(waited 0 s\)"):
        until(lambda: None, "never", 0)


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(ClusterError, match="cannot make a server in /nowhere: No such file") as e:
        Server(Path("/nowhere"), within="/nowhere")
    assert "PGTV_TEMP" in str(e.value.hint)


def test_an_engine_that_does_not_answer_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("testcontainers")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ClusterError, match="no container engine answers") as e:
        new_container("any")
    assert "DOCKER_HOST" in str(e.value.hint)
    assert not list(tmp_path.iterdir())
