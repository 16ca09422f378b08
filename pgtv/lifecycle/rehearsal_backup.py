"""A throwaway server made of a base backup: files copied, and every way out of the folder closed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pgtv.catalog import dialects
from pgtv.cluster import binaries as cached
from pgtv.cluster.server import Server, run_as
from pgtv.errors import ClusterError, UsageError
from pgtv.lifecycle.rehearsal_server import SETTINGS, databases, extension_version, look

_HBA = "local all all trust\n"
_ARCHIVES = ("base.tar", "base.tar.gz", "base.tar.lz4", "base.tar.zst")


def is_backup(path: Path) -> bool:
    """Whether `path` is a folder that pg_basebackup wrote, plain or tar."""
    return path.is_dir() and ((path / "PG_VERSION").exists() or _archive(path) is not None)


def _archive(path: Path) -> Path | None:
    return next((path / n for n in _ARCHIVES if (path / n).exists()), None)


def backup_major(path: Path) -> int:
    """The major release of a base backup. Raises UsageError where it does not tell."""
    archive = _archive(path)
    try:
        if archive is None:
            text = (path / "PG_VERSION").read_text()
        else:
            text = _tar("-xOaf", str(archive), "PG_VERSION")
    except (OSError, ClusterError) as e:
        raise UsageError(f"cannot read {path}: {e}") from None
    if not text.strip().isdigit():
        raise UsageError(f"{path} is no base backup: PG_VERSION says {text.strip()!r}")
    return int(text)


def from_backup(binaries: Path, path: Path, settings: Mapping[str, str] | None = None) -> Server:
    """A running server on a copy of the base backup; the backup itself is only read.

    Its superuser is the cluster's own. Raises UsageError for what cannot be used as it is,
    ClusterError where the server does not recover; nothing is left behind then.
    """
    if (path / "postmaster.pid").exists():
        raise UsageError(
            f"{path} is the data directory of a server, or was copied from a running one",
            "take a base backup: pg_basebackup -D FOLDER -X stream",
        )
    server = Server(binaries, {**SETTINGS, **(settings or {})})
    try:
        _copy(path, server)
        _close(server)
        server.superuser = _superuser(server)
        server.start()
        _match(server)
        _refill(server)
        return server
    except BaseException:
        server.destroy()
        raise


def _copy(path: Path, server: Server) -> None:
    archive, data = _archive(path), server.data
    if archive is None:
        _run("cp", "-a", "--reflink=auto", f"{path}/.", str(data))
    else:
        data.mkdir(mode=0o700)
        _tar("-xaf", str(archive), "-C", str(data))
        for wal in sorted(path.glob("pg_wal.tar*")):
            _tar("-xaf", str(wal), "-C", str(data / "pg_wal"))
    label = data / "backup_label"
    if label.exists() and "INCREMENTAL FROM" in label.read_text(errors="replace"):
        raise UsageError(
            f"{path} is an incremental backup", "make it whole first: pg_combinebackup … -o FOLDER"
        )
    for link in [x for x in data.iterdir() if x.is_symlink()]:
        _inside(path / link.name, link)
    _tablespaces(path, server)
    data.chmod(0o700)


def _inside(source: Path, link: Path) -> None:
    """What the data directory links to lies in the copy, or is left out: the WAL is needed."""
    link.unlink()
    if source.is_dir():
        link.mkdir(mode=0o700)
        if link.name == "pg_wal":
            _run("cp", "-a", f"{source}/.", str(link))


def _tablespaces(path: Path, server: Server) -> None:
    """Tablespaces of the copy lie in the copy: the server would else write into production's."""
    data, folder = server.data, server.root / "tablespaces"
    places: dict[str, Path] = {}
    for link in (data / "pg_tblspc").iterdir():
        if link.is_symlink():
            source, places[link.name] = link.readlink(), folder / link.name
            link.unlink()
            folder.mkdir(exist_ok=True)
            _run("cp", "-a", "--reflink=auto", f"{source}/.", str(folder / link.name))
    for archive in path.glob("[0-9]*.tar*"):
        name = archive.name.split(".")[0]
        places[name] = folder / name
        places[name].mkdir(parents=True)
        _tar("-xaf", str(archive), "-C", str(places[name]))
    (data / "tablespace_map").unlink(missing_ok=True)
    for name, place in places.items():
        (data / "pg_tblspc" / name).symlink_to(place)


def _close(server: Server) -> None:
    """Settings and access of its own; none of production's."""
    data = server.data
    for name in ("standby.signal", "recovery.signal", "postgresql.auto.conf"):
        (data / name).unlink(missing_ok=True)
    for name, text in (("postgresql.conf", ""), ("pg_hba.conf", _HBA), ("pg_ident.conf", "")):
        (data / name).write_text(text, encoding="utf-8")
    server.furnish()
    if user := run_as():
        _run("chown", "-hR", f"{user['user']}:{user['group']}", str(server.root))


def _superuser(server: Server) -> str:
    """The role that initdb made, asked without a login; recovers the copy as well."""
    said = server.program(
        "postgres", "--single", "-D", str(server.data), "template1", timeout=86400,
        input="SELECT rolname FROM pg_catalog.pg_authid WHERE oid = 10\n",
    )  # fmt: skip
    found = re.search(r'rolname = "(.*)"\s+\(typeid', said)
    if found is None:
        raise ClusterError(f"the copy of the backup does not tell its superuser: {said[-300:]}")
    return found[1]


def _match(server: Server) -> None:
    """Go on with the library of the release that the copy has, where that is here."""
    releases = {extension_version(server, name) for name in databases(server)}
    for release in releases - {None}:
        found = cached.real(server.major, str(release))
        if found and found != server.binaries and len(releases) == 1:
            server.stop()
            server.binaries = found
            server.start()


def _refill(server: Server) -> None:
    """UNLOGGED TVIEWs are empty in a base backup; the extension fills them when asked."""
    for name in databases(server):
        snapshot = look(server, name)
        if any(t.valid is False for t in snapshot.tviews):
            statement = dialects.named(snapshot.extension.generation).rebuild_empty()
            server.psql(statement, name)


def _tar(*args: str) -> str:
    return _run("tar", *args)


def _run(program: str, *args: str) -> str:
    if shutil.which(program) is None:
        raise ClusterError(f"there is no {program} here")
    done = subprocess.run(
        [program, *args], capture_output=True, text=True, errors="replace", check=False,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode:
        raise ClusterError(f"{program}: {done.stderr.strip()[-500:]}")
    return done.stdout
