"""Which snapshots may go: the old ones in a timer's directory, and the one that a new one replaces."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pgtv.catalog import codec
from pgtv.catalog.diff import diff
from pgtv.catalog.model import Snapshot
from pgtv.errors import SnapshotError, UsageError

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


def check_replacing(path: Path, taken: Snapshot) -> None:
    """Raises UsageError where saving `taken` as `path` would lose something.

    That is a snapshot with TVIEWs that `taken` lacks or has otherwise (of a database that is broken by
    now, or of another one: it may be all that brings them back), and any file that is no snapshot (the
    dump that it was to lie beside). What was added since is no loss.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        old = codec.load(path)
    except SnapshotError as e:
        raise UsageError(f"{path} exists and is not replaced: {e.message}", _ELSEWHERE) from None
    lost = _lost(old, taken)
    if lost:
        few = ", ".join(lost[:_FEW]) + (f" and {len(lost) - _FEW} more" if lost[_FEW:] else "")
        raise UsageError(
            f"{path} exists and is not replaced: it holds {few}, which this database lacks now or has "
            f"otherwise (pgtv snapshot diff {shlex.quote(str(path))})",
            _ELSEWHERE,
        )


_FEW = 3
_ELSEWHERE = (
    "give another name (--dir DIR makes one of the time), or remove it once you are sure that nothing "
    "needs it"
)


def _lost(old: Snapshot, taken: Snapshot) -> list[str]:
    """The TVIEWs of `old` that `taken` does not have as they were."""
    if taken.gap("tviews"):
        return sorted(t.label for t in old.tviews)
    changes = [c for c in diff(old, taken).changes if c.kind == "TVIEW" and c.change != "added"]
    return sorted({c.object for c in changes})


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
