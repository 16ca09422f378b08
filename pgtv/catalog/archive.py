"""A directory of snapshots that a timer fills: names, and which old ones may go."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pgtv.catalog.model import Snapshot
from pgtv.errors import SnapshotError

_NAME = re.compile(r".+-\d{8}T\d{6}Z\.snapshot\.json")


@dataclass(frozen=True)
class Kept:
    """What `prune` did: files removed, oldest first, or why it removed none."""

    removed: tuple[Path, ...] = ()
    refused: str | None = None


def path_for(snapshot: Snapshot, folder: Path) -> Path:
    """`<database>-<UTC time>.snapshot.json`; what a file name cannot hold is percent-encoded."""
    taken = datetime.fromisoformat(snapshot.taken_at)
    database = quote(snapshot.server.database, safe=" ")
    return folder / f"{database}-{taken:%Y%m%dT%H%M%SZ}.snapshot.json"


def make(folder: Path) -> None:
    """Create the directory, readable by its owner alone. Raises SnapshotError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise SnapshotError(f"cannot create {folder}: {e.strerror or e}") from None


def prune(folder: Path, taken: Snapshot, keep: int) -> Kept:
    """Remove all but the newest `keep` snapshots of the database that `taken` is of.

    Only files that are named as `path_for` names them and that hold a snapshot of the same database
    of the same cluster are counted or removed. Nothing is removed while `taken` shows no TVIEWs but
    an older snapshot does: that one may be what brings them back.
    """
    mine = [p for p in sorted(folder.iterdir(), key=lambda p: p.name) if _is_of(p, taken)]
    old = mine[:-keep]
    if not old:
        return Kept()
    if not taken.tviews and any(_document(p).get("tviews") for p in old):
        return Kept(refused="no TVIEW is registered now, and older snapshots hold some")
    for path in old:
        try:
            path.unlink(missing_ok=True)
        except OSError as e:
            raise SnapshotError(f"cannot remove {path}: {e.strerror or e}") from None
    return Kept(tuple(old))


def _is_of(path: Path, taken: Snapshot) -> bool:
    if not _NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return False
    server = _document(path).get("server")
    return (
        isinstance(server, dict)
        and server.get("database") == taken.server.database
        and server.get("system_identifier") == taken.server.system_identifier
    )


def _document(path: Path) -> dict[str, Any]:
    """The file as JSON when it is a snapshot, else empty."""
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    is_ours = isinstance(raw, dict) and str(raw.get("schema")).startswith("pgtv.snapshot/")
    return raw if is_ours else {}
