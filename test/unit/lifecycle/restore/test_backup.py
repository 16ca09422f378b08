"""What a backup is, is told from its files; what is none, is said."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgtv.errors import NotPossible, PgtvError, UsageError
from pgtv.lifecycle.restore import beside as restore_beside
from pgtv.lifecycle.restore import server as restore_server
from pgtv.lifecycle.restore.backup import digest, look_at
from pgtv.lifecycle.restore.place import Control, unsafe

LABEL = (
    "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
    "BACKUP METHOD: streamed\nSTART TIME: 2026-03-01 02:00:00 UTC\nLABEL: nightly\n"
)


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "PG_VERSION").write_text("18\n")
    (path / "backup_label").write_text(LABEL)
    return path


def tarred(path: Path, ending: str = ".gz") -> Path:
    path.mkdir()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text in (("backup_label", LABEL), ("base/1/PG_VERSION", "17\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    content = raw.getvalue()
    (path / f"base.tar{ending}").write_bytes(gzip.compress(content) if ending else content)
    return path


def test_a_folder_tells_when_it_began(tmp_path: Path) -> None:
    found = look_at(folder(tmp_path / "base"))
    assert (found.kind, found.form, found.major) == ("base backup", "folder", 18)
    assert found.data_from == datetime(2026, 3, 1, 2, tzinfo=UTC)
    assert found.label["LABEL"] == "nightly"
    assert found.bytes == len("18\n") + len(LABEL)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_so_does_a_tar(tmp_path: Path, ending: str) -> None:
    found = look_at(tarred(tmp_path / "base", ending))
    assert (found.form, found.major) == ("tar", 17)
    assert found.data_from == datetime(2026, 3, 1, 2, tzinfo=UTC)
    whole = tmp_path / "base" / f"base.tar{ending}"
    whole.write_bytes(whole.read_bytes()[:100])
    with pytest.raises(PgtvError, match="cannot read"):
        look_at(tmp_path / "base")


def test_the_folder_of_a_server_is_no_backup(tmp_path: Path) -> None:
    (folder(tmp_path / "data") / "postmaster.pid").write_text("1\n")
    with pytest.raises(UsageError, match=r"postmaster\.pid"):
        look_at(tmp_path / "data")


def test_what_cannot_be_unpacked_here_is_said(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "base.tar.zst").write_bytes(b"")
    with pytest.raises(UsageError, match="compressed by") as caught:
        look_at(tmp_path / "b")
    assert caught.value.hint and "zstd" in caught.value.hint


def test_one_byte_changes_the_digest(tmp_path: Path) -> None:
    path = folder(tmp_path / "base")
    before = digest(path)
    assert before == digest(path)
    (path / "PG_VERSION").write_text("17\n")
    assert digest(path) != before
    assert digest(path / "PG_VERSION") == (
        "54183f4323f377b737433a1e98229ead0fdc686f93bab057ecb612daa94002b5"
    )


def test_room_is_looked_for_before(tmp_path: Path) -> None:
    found = look_at(folder(tmp_path / "base"))
    restore_server.room(found, Path("/tmp"))  # noqa: S108
    with pytest.raises(UsageError, match="too long a path"):
        restore_server.room(found, tmp_path / ("x" * 100))
    with pytest.raises(NotPossible, match="the restore takes about"):
        restore_server.room(replace(found, room=1 << 60), Path("/tmp"))  # noqa: S108


def test_the_snapshot_lies_beside_not_inside(tmp_path: Path) -> None:
    path = folder(tmp_path / "base")
    assert restore_beside.beside(path) is None
    (tmp_path / "base.snapshot.json").write_text("{}")
    assert restore_beside.beside(path) == tmp_path / "base.snapshot.json"
    assert restore_beside.path_for(Path("x/nightly.dump")) == Path("x/nightly.dump.snapshot.json")


def test_the_log_tells_why_a_server_did_not_start() -> None:
    log = (
        "2026 [1]  LOG:  starting\n2026 [2] FATAL:  recovery ended before the target\n"
        "2026 [3] FATAL:  the database system is starting up\n2026 [1] LOG:  shut down\n"
    )
    assert restore_server.why_not(log) == "FATAL: recovery ended before the target"


def test_a_copied_folder_without_its_label_is_told_unless_it_was_shut_down(tmp_path: Path) -> None:
    path = folder(tmp_path / "base")
    running, stopped = (Control(state, 1, "7", {}) for state in ("in production", "shut down"))
    assert unsafe(look_at(path), running) is None
    (path / "backup_label").unlink()
    assert "in production" in (unsafe(look_at(path), running) or "")
    assert unsafe(look_at(path), stopped) is None
