"""The snapshot that is kept beside a backup: where it is, and whether it belongs there."""

from __future__ import annotations

from pathlib import Path

from pgtv.catalog.model import Snapshot
from pgtv.errors import UsageError
from pgtv.lifecycle.restore.backup import system_identifier

ENDING = ".snapshot.json"


def path_for(backup: Path) -> Path:
    """`nightly.dump` to `nightly.dump.snapshot.json`; beside a folder, not in it.

    A base backup's folder is held against its manifest, which knows nothing of a further file.
    """
    resolved = backup if backup.name else backup.resolve()
    return resolved.with_name(resolved.name + ENDING)


def beside(backup: Path) -> Path | None:
    """The snapshot that lies beside a backup, or None."""
    found = path_for(backup)
    return found if found.is_file() else None


def check(backup: Path, taken: Snapshot) -> None:
    """Raises UsageError where the backup is not there, or is of another cluster than the snapshot."""
    if not backup.exists():
        raise UsageError(f"there is no backup {backup}", "the snapshot is taken once it is there")
    its = system_identifier(backup)
    mine = taken.server.system_identifier
    if its and mine and its != mine:
        raise UsageError(
            f"{backup} is of another cluster than the snapshot, which is of {taken.server.database}",
            "take the snapshot of the server that was backed up",
        )
