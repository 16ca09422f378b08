"""What is unpacked lies where it belongs, whatever the archive and the Python say."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgtv.cluster.server import Server
from pgtv.errors import NotPossible, PgtvError, UsageError
from pgtv.lifecycle.restore.backup import look_at
from pgtv.lifecycle.restore.place import Control, _extract, _no_way_out, disconnect, unpack


def archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    file = folder / "base.tar"
    with tarfile.open(file, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return file


def regular(name: str, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = 3, mode
    return member


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.fixture(params=["filters", "no filters"], autouse=True)
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2 is Debian 12's, and has none."""
    if request.param == "no filters":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    elif not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no filters")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Its folder; nothing is started."""
    within = tmp_path / "throwaway"
    within.mkdir()
    made = Server(Path("/nowhere"), within=str(within))
    yield made
    made.destroy()


def source(folder: Path) -> Path:
    """A base backup with links, as rsync -a and clones of a file system make them."""
    elsewhere, backup = folder / "etc", folder / "backup"
    for path in (elsewhere / "pg_xact", elsewhere / "space", backup / "pg_tblspc"):
        path.mkdir(parents=True)
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "pg_xact/0000", "space/1"):
        (elsewhere / name).write_text(f"theirs: {name}\n")
        if not name.startswith("space"):
            (backup / name.partition("/")[0]).symlink_to(elsewhere / name.partition("/")[0])
    (backup / "pg_tblspc" / "7").symlink_to(elsewhere / "space")
    (backup / "PG_VERSION").write_text("18\n")
    (backup / "backup_label").write_text("LABEL: it\n")
    return backup


def texts(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()}


def test_nothing_is_written_through_links_of_a_folder(tmp_path: Path, server: Server) -> None:
    backup = source(tmp_path)
    before = texts(tmp_path / "etc")
    unpack(look_at(backup), server)
    assert (server.data / "pg_xact/0000").read_text() == "theirs: pg_xact/0000\n"
    disconnect(server, Control("shut down", 1, "7", {}), {})
    for file in (server.data / "pg_xact/0000", server.data / "pg_tblspc/7/1"):
        file.write_text("ours")
    assert texts(tmp_path / "etc") == before
    assert (server.data / "pg_hba.conf").read_text() == "local all all trust\n"


def test_links_that_lead_nowhere(tmp_path: Path, server: Server) -> None:
    backup = source(tmp_path)
    (tmp_path / "etc/pg_hba.conf").unlink()  # another machine: it does not count there
    (backup / "pg_wal").symlink_to(tmp_path / "absent")
    with pytest.raises(NotPossible, match=r"pg_wal is a link to .*absent, which is not there"):
        unpack(look_at(backup), server)
    (backup / "pg_wal").unlink()
    unpack(look_at(backup), server)
    assert not (server.data / "pg_hba.conf").exists()


def test_a_link_to_a_folder_that_it_lies_in(tmp_path: Path) -> None:
    backup = source(tmp_path)
    (tmp_path / "etc/pg_xact/all").symlink_to(backup)
    with pytest.raises(UsageError, match="in which it lies itself"):
        look_at(backup)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_an_archive_has_no_links_but_to_tablespaces(kind: bytes, tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    member = link("./base/2", "/etc/hostname" if kind == tarfile.SYMTYPE else "base/1")
    member.type = kind
    with pytest.raises(NotPossible, match=r"base/2 in the archive is (a link to|neither)"):
        _extract(archive(tmp_path, regular("base/1"), member), place)
    _extract(archive(tmp_path, link("./postgresql.conf", "/etc/x"), regular("global/1")), place)
    assert sorted(p.name for p in place.iterdir()) == ["base", "global"]


def test_a_way_out_that_is_left_is_found(tmp_path: Path, server: Server) -> None:
    inside = server.root / "tablespaces/7"
    inside.mkdir(parents=True)
    server.data.mkdir()
    (server.data / "7").symlink_to(inside)
    _no_way_out(server)
    (server.data / "log").symlink_to(tmp_path)
    with pytest.raises(PgtvError, match="log leads out of the throwaway server"):
        _no_way_out(server)


def test_files_come_without_links_and_belong_to_their_user_alone(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    _extract(archive(tmp_path, regular("base/1", 0o6777), link("pg_tblspc/2", "/etc")), place)
    assert (place / "base/1").read_bytes() == b"xxx"
    assert (place / "base/1").stat().st_mode & 0o7777 == 0o600
    assert not (place / "pg_tblspc/2").is_symlink()


@pytest.mark.parametrize("name", ["../outside", "base/../../outside", "/tmp/pgtv-outside"])  # noqa: S108
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    with pytest.raises(tarfile.TarError, match="outside"):
        _extract(archive(tmp_path, regular(name)), place)
    assert not (tmp_path / "outside").exists()
    assert not Path("/tmp/pgtv-outside").exists()  # noqa: S108
