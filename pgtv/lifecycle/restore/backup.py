"""What a backup is, told from its files: a dump of one database, or a base backup of a cluster.

Nothing is restored here, and no server is asked.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pgtv.errors import PgtvError, UsageError
from pgtv.lifecycle.restore import archive_program

if TYPE_CHECKING:
    from pgtv.lifecycle.restore.dump_contents import Contents

MANIFEST = "backup_manifest"
LABEL = "backup_label"
_COMPRESSED = 8  # text compresses four to five times, and indexes nearly double what comes back
_PLAIN = 2
_WAL = 512 << 20  # of the throwaway server itself: WAL, temporary files, catalogs


@dataclass(frozen=True)
class Backup:
    """One backup.

    kind: `dump` or `base backup`. form: as archive_program.form, or `folder` or `tar` of a base backup.
    bytes: on disk. room: bytes that its restore takes, an estimate that rests on `room_from`. major:
    of the server that it came from, None where nothing tells. data_from: the moment that its rows are
    of, as far as its files tell, by `data_from_by`. label: its lines by name. contents: of a dump.
    """

    path: Path
    kind: str
    form: str
    bytes: int
    files: int
    room: int
    room_from: str
    major: int | None = None
    data_from: datetime | None = None
    data_from_by: str = ""
    database: str | None = None
    label: dict[str, str] = field(default_factory=dict)
    contents: Contents | None = None

    @property
    def is_dump(self) -> bool:
        return self.kind == "dump"


def look_at(path: Path, pg_restore: str | None = None) -> Backup:
    """Tell what `path` is. pg_restore: the program that reads archives; else one is looked for.

    Raises UsageError for what is neither, and for the folder of a running server; PgtvError where
    it cannot be read.
    """
    try:
        if path.is_dir():
            if (path / "PG_VERSION").exists():
                return _folder(path)
            if found := base_tar(path):
                return _tar(path, found)
        return _dump(path, pg_restore)
    except OSError as e:
        raise PgtvError(f"cannot read {e.filename or path}: {e.strerror or e}") from None


def base_tar(path: Path) -> Path | None:
    """The archive of a base backup in tar format that holds the data folder."""
    for name in ("base.tar", "base.tar.gz"):
        if (path / name).exists():
            return path / name
    for name in ("base.tar.lz4", "base.tar.zst"):
        if (path / name).exists():
            raise UsageError(
                f"{path / name} is compressed by what Python does not read here",
                "unpack it (lz4 -d, zstd -d) and name the folder",
            )
    return None


def _dump(path: Path, pg_restore: str | None) -> Backup:
    from pgtv.lifecycle.restore import dump_contents

    try:
        archive_program.form(path)
    except UsageError as e:
        if path.is_dir():
            raise UsageError(
                f"{path} holds neither toc.dat (a dump), nor PG_VERSION or base.tar (a base backup)",
                "name what pg_dump or pg_basebackup wrote",
            ) from None
        raise e from None
    contents = dump_contents.read(path, pg_restore)
    size = sum(f.stat().st_size for f in files_of(path))
    packed = contents.form in ("custom", "directory", "plain, gzip")
    by = contents.created
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    said = "the file's time of modification: nothing in it tells, and the dump began before"
    if by is not None:
        at, said = (
            by,
            "the archive's header, by the clock of who dumped, read in the zone of this machine",
        )
    found = re.match(r"\d+", contents.dumped_from or "")
    return Backup(
        path, "dump", contents.form, size, len(list(files_of(path))),
        size * (_COMPRESSED if packed else _PLAIN) + _WAL,
        f"{_COMPRESSED if packed else _PLAIN} times its size, and {_WAL >> 20} MiB for the server",
        int(found[0]) if found else None, at, said, contents.database, contents=contents,
    )  # fmt: skip


def _folder(path: Path) -> Backup:
    if (path / "postmaster.pid").exists():
        raise UsageError(
            f"{path} has a postmaster.pid: it is the data folder of a server, no backup",
            "name a base backup (pg_basebackup, or what a backup tool restored)",
        )
    label = _label((path / LABEL).read_text(errors="replace")) if (path / LABEL).exists() else {}
    listed = list(files_of(path))
    size = sum(f.stat().st_size for f in listed)
    at, said = _began(label)
    return Backup(
        path, "base backup", "folder", size, len(listed), size + _WAL,
        f"its size, and {_WAL >> 20} MiB for WAL",
        int((path / "PG_VERSION").read_text().split(".")[0]), at, said, label=label,
    )  # fmt: skip


def _tar(path: Path, archive: Path) -> Backup:
    size = sum(f.stat().st_size for f in files_of(path))
    label, major = _of_archive(archive)
    manifest = path / MANIFEST
    if manifest.exists():
        room, by = _listed(manifest), f"what {MANIFEST} lists"
    elif archive.suffix == ".gz":
        room, by = size * _COMPRESSED, f"{_COMPRESSED} times its size"
    else:
        room, by = size, "its size"
    at, said = _began(label)
    return Backup(
        path, "base backup", "tar", size, len(list(files_of(path))), room + _WAL,
        f"{by}, and {_WAL >> 20} MiB for WAL", major, at, said, label=label,
    )  # fmt: skip


def _of_archive(archive: Path) -> tuple[dict[str, str], int | None]:
    """The label and the major release; every database's folder in it tells the latter, too."""
    label: dict[str, str] = {}
    major: int | None = None
    try:
        with opened(archive) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name not in (LABEL,) and not name.endswith("PG_VERSION"):
                    continue
                file = tar.extractfile(member)
                text = file.read().decode() if file else ""
                if name == LABEL:
                    label = _label(text)
                else:
                    major = int(text.split(".")[0])
                if major is not None:
                    break  # the label comes first
    except (tarfile.TarError, EOFError, ValueError) as e:
        raise PgtvError(f"cannot read {archive}: {e}", "is it whole?") from None
    return label, major


@contextlib.contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """A tar archive, with gzip or without, read from its beginning to its end.

    Raises OSError, EOFError and tarfile.TarError.
    """
    # not tarfile's own `r|gz`, which takes what pg_basebackup compressed for empty
    with (
        gzip.open(archive) if archive.suffix == ".gz" else archive.open("rb") as file,
        tarfile.open(fileobj=file, mode="r|") as tar,
    ):
        yield tar


def _listed(manifest: Path) -> int:
    try:
        held = json.loads(manifest.read_text(encoding="utf-8"))
        return sum(int(f["Size"]) for f in held["Files"])
    except (ValueError, KeyError, TypeError) as e:
        raise PgtvError(f"{manifest} is damaged: {e}", "is the backup whole?") from None


def _label(text: str) -> dict[str, str]:
    """`NAME: value` lines of backup_label."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value for name, colon, value in pairs if colon}


def _began(label: dict[str, str]) -> tuple[datetime | None, str]:
    """When the backup began: `START TIME` has a zone's abbreviation, of which UTC alone is certain."""
    text = label.get("START TIME", "")
    found = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ?(\S*)", text)
    if not found:
        return None, "nothing in it tells"
    at = datetime.fromisoformat(found[1])
    if found[2] in ("UTC", "GMT", ""):
        return at.replace(tzinfo=UTC), f"{LABEL}: when the backup began"
    return (
        at.astimezone(),
        f"{LABEL}: when the backup began, zone {found[2]} taken for this machine's",
    )


def files_of(path: Path, *, within: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Its regular files, by name; what links lead to included. within: the folders it lies in.

    Raises UsageError for a link to a folder that it lies in itself.
    """
    if not path.is_dir():
        yield path
        return
    here = (*within, path.resolve())
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            if entry.is_symlink() and any(p.is_relative_to(entry.resolve()) for p in here):
                raise UsageError(f"{entry} is a link to {entry.resolve()}, in which it lies itself")
            yield from files_of(entry, within=here)
        elif entry.is_file():
            yield entry


def digest(path: Path) -> str:
    """SHA-256: of the file; of a folder, of its lines `sha256  relative/path`, as sha256sum prints."""
    if not path.is_dir():
        return _sha256(path)
    listing = hashlib.sha256()
    for file in files_of(path):
        listing.update(
            f"{_sha256(file)}  {file.relative_to(path)}\n".encode(errors="surrogateescape")
        )
    return listing.hexdigest()


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as e:
        raise PgtvError(f"cannot read {file}: {e.strerror or e}") from None


def system_identifier(path: Path) -> str | None:
    """Of the cluster that a base backup is of, by pg_control or (17 and later) its manifest; else None."""
    try:
        with (path / "global" / "pg_control").open("rb") as file:
            return str(int.from_bytes(file.read(8), sys.byteorder))
    except OSError:
        pass
    try:
        held = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return str(held["System-Identifier"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
