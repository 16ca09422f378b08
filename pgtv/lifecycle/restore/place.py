"""Lays a base backup out as the data folder of a throwaway server, and cuts its ties to the source.

A base backup brings the configuration of the server that it is of: where it archives WAL to, whom it
follows, what it subscribes to, where its tablespaces lie. Started as it is, it would act on all of
these. So nothing of that configuration counts here, links are followed and copied, and what the
recovery needs to know is taken from pg_control.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgtv.cluster.server import Server, run_as
from pgtv.errors import ClusterError, NotPossible, PgtvError
from pgtv.lifecycle.restore.backup import LABEL, MANIFEST, Backup, base_tar, opened

# not below what the source had, or recovery refuses to go on
_NOT_BELOW = ("max_connections", "max_worker_processes", "max_wal_senders",
              "max_prepared_xacts", "max_locks_per_xact")  # fmt: skip
_SETTING = {"max_prepared_xacts": "max_prepared_transactions",
            "max_locks_per_xact": "max_locks_per_transaction"}  # fmt: skip
# whatever acts on its own or reaches out
_CUT = {
    "archive_mode": "off",
    "max_logical_replication_workers": "0",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "restore_command": "",
    "ssl": "off",
    "logging_collector": "off",
}
_LEFT_OUT = ("postmaster.pid", "postmaster.opts", "standby.signal", "recovery.signal",
             "postgresql.auto.conf", "tablespace_map")  # fmt: skip
# written anew: what they held does not count, nor where they lie if they are links
_WRITTEN = {
    "postgresql.conf": "",
    "pg_hba.conf": "local all all trust\n",
    "pg_ident.conf": "",
}
_SPACES = "pg_tblspc"


@dataclass(frozen=True)
class Control:
    """What pg_control says. state: of the cluster when it was copied."""

    state: str
    timeline: int
    system_identifier: str
    least: Mapping[str, str]


def unpack(backup: Backup, server: Server) -> None:
    """Copy or unpack into the server's data folder, tablespaces beside it. Raises PgtvError."""
    try:
        if backup.form == "folder":
            _copy(backup.path, server)
        else:
            _untar(backup.path, server)
        _spaces_are_here(server)
        _no_way_out(server)
        server.data.chmod(0o700)
        own(server.root)
    except (tarfile.TarError, EOFError) as e:
        raise PgtvError(f"cannot unpack {backup.path}: {e}", "is it whole?") from None
    except OSError as e:
        raise PgtvError(f"cannot copy {e.filename or backup.path}: {e.strerror or e}") from None
    except shutil.Error as e:
        first = e.args[0][0] if e.args and e.args[0] else ("", "", str(e))
        raise PgtvError(f"cannot copy {first[0]}: {first[2]}") from None


def own(root: Path) -> None:
    """Everything below belongs to the user that the server runs as."""
    who = run_as()
    if not who:
        return
    for folder, names, files in os.walk(root):
        for name in (".", *names, *files):
            os.chown(Path(folder) / name, who["user"], who["group"], follow_symlinks=False)


def _copy(source: Path, server: Server) -> None:
    """What links lead to, and no link: through one of them the server would write to the source."""
    shutil.copytree(source, server.data, ignore=_not_copied)
    spaces = source / _SPACES
    for link in sorted(spaces.iterdir()) if spaces.is_dir() else ():
        if link.is_symlink():
            place = _space(server, link.name)
            shutil.copytree(link, place, ignore=_not_copied, dirs_exist_ok=True)


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Tablespaces, which come later, and links that lead nowhere to files that do not count.

    Raises NotPossible for any other link that leads nowhere.
    """
    here = Path(folder)
    links = {n for n in names if (here / n).is_symlink()}
    if here.name == _SPACES:
        return links
    lost = {n for n in links if not (here / n).exists()}
    for name in sorted(lost - _WRITTEN.keys() - set(_LEFT_OUT)):
        raise NotPossible(
            f"{here / name} is a link to {(here / name).readlink()}, which is not there",
            "copy the backup with what its links lead to, such as with rsync --copy-links",
        )
    return lost


def _space(server: Server, oid: str) -> Path:
    """A folder of our own for a tablespace, and the link to it."""
    place = server.root / "tablespaces" / oid
    place.mkdir(parents=True)
    link = server.data / _SPACES / oid
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(place)
    return place


def _untar(folder: Path, server: Server) -> None:
    archive = base_tar(folder)
    assert archive is not None
    server.data.mkdir(mode=0o700)
    _extract(archive, server.data)
    for file in sorted(folder.iterdir()):
        if found := re.fullmatch(r"(pg_wal|\d+)\.tar(\.gz)?", file.name):
            place = server.data / "pg_wal" if found[1] == "pg_wal" else _space(server, found[1])
            place.mkdir(exist_ok=True)
            _extract(file, place)
    if (folder / MANIFEST).exists():
        shutil.copyfile(folder / MANIFEST, server.data / MANIFEST)


def _spaces_are_here(server: Server) -> None:
    """The map of tablespaces would have PostgreSQL link to the source's folders: ours are linked."""
    listed = server.data / "tablespace_map"
    if not listed.exists():
        return
    oids = [line.split(" ")[0] for line in listed.read_text().splitlines() if line]
    lacking = [o for o in oids if not (server.data / _SPACES / o).exists()]
    if lacking:
        raise NotPossible(
            f"the backup lacks tablespaces {', '.join(lacking)}, which its tablespace_map names",
            "they belong in pg_tblspc of the folder, or as OID.tar beside base.tar",
        )


def _extract(archive: Path, place: Path) -> None:
    # the first releases of 3.11, Debian 12's among them, know no filters: what one would refuse or
    # change is refused or changed by _plain
    known: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with opened(archive) as tar:
        tar.extractall(place, members=_plain(tar, place), **known)  # noqa: S202 (see above)


def _plain(tar: tarfile.TarFile, place: Path) -> Iterator[tarfile.TarInfo]:
    """Files and folders. Links to tablespaces, elsewhere on the source, are made anew.

    Raises tarfile.TarError for what would lie outside, NotPossible for any other link: pg_basebackup
    writes none, and what it leads to is not in the archive, or is a file of two names.
    """
    for member in tar:
        if not (place / member.name).resolve().is_relative_to(place.resolve()):
            raise tarfile.TarError(f"{member.name} would lie outside of it")
        if member.isfile() or member.isdir():
            member.mode = 0o700 if member.isdir() else 0o600
            yield member
            continue
        path = Path(member.name)
        if path.parent.name != _SPACES and str(path) not in (*_WRITTEN, *_LEFT_OUT):
            what = f"a link to {member.linkname}" if member.linkname else "neither file nor folder"
            raise NotPossible(
                f"{path} in the archive is {what}",
                "unpack it where the link leads somewhere, and name the folder",
            )


def _no_way_out(server: Server) -> None:
    """Hold what was laid out against what must be so: no link but ours to tablespaces.

    Raises PgtvError, with the throwaway server not yet started.
    """
    root = server.root.resolve()
    for folder, names, files in os.walk(server.root):
        for path in (Path(folder) / n for n in (*names, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise PgtvError(f"{path} leads out of the throwaway server, to {path.resolve()}")


def check_files(server: Server) -> str | None:
    """pg_verifybackup on the copy: None where it agrees with the manifest, else what it said.

    Raises NotPossible where there is no manifest to hold the files against.
    """
    if not (server.data / MANIFEST).exists():
        raise NotPossible(
            f"the backup has no {MANIFEST}: nothing tells whether its files are as they were written",
            "pg_basebackup writes one, unless told --no-manifest",
        )
    try:
        server.program("pg_verifybackup", "-q", "-n", str(server.data), timeout=86400)
    except ClusterError as e:
        return e.message
    return None


def control(server: Server) -> Control:
    """Read pg_control of the copy. Raises ClusterError."""
    text = server.program("pg_controldata", "-D", str(server.data))
    facts = {
        n.strip(): v.strip() for n, _, v in (line.partition(":") for line in text.splitlines())
    }
    return Control(
        facts.get("Database cluster state", ""),
        int(facts.get("Latest checkpoint's TimeLineID", "1")),
        facts.get("Database system identifier", ""),
        {_SETTING.get(n, n): facts[f"{n} setting"] for n in _NOT_BELOW if f"{n} setting" in facts},
    )


def unsafe(backup: Backup, found: Control) -> str | None:
    """Why the folder may be no backup at all, or None: without its label, recovery begins too late."""
    if backup.label or found.state.startswith("shut down"):
        return None
    return (
        f"there is no {LABEL}, and pg_control says {found.state!r}: a copy of a running server that no "
        "backup was taken with. PostgreSQL starts it and tells nothing, but pages may be torn and "
        "files of different moments."
    )


def disconnect(server: Server, found: Control, settings: Mapping[str, str]) -> None:
    """Write the configuration that counts from now on, and no other."""
    for name in (*_LEFT_OUT, *_WRITTEN):
        (server.data / name).unlink(missing_ok=True)
    for name, text in _WRITTEN.items():
        (server.data / name).write_text(text, encoding="utf-8")
    places = {
        "hba_file": str(server.data / "pg_hba.conf"),
        "ident_file": str(server.data / "pg_ident.conf"),
    }
    server.configure({**found.least, **places, **_CUT, **settings})
    own(server.root)


def recover_from(server: Server, archive: Path | None, until: str | None) -> None:
    """Have WAL fetched from a folder of archived segments, to its end or to a moment, then promote."""
    if archive is None:
        return
    place = shell_quoted(str(archive.resolve()))
    server.configure(
        {
            "restore_command": f'if [ -e {place}/"%f" ]; then cp {place}/"%f" "%p";'
            f' else gzip -dc {place}/"%f.gz" > "%p" 2>/dev/null; fi',
            "recovery_target_timeline": "latest",
            "recovery_target_action": "promote",
            **({"recovery_target_time": until} if until else {}),
        }
    )
    (server.data / "recovery.signal").touch()
    own(server.root)


def shell_quoted(text: str) -> str:
    """For a command of the configuration, where `%` begins a placeholder."""
    import shlex

    return shlex.quote(text.replace("%", "%%"))
