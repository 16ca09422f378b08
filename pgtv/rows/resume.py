"""The file of `verify --resume`: which TVIEWs of a run are finished, with LSN and time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pgtv.catalog.model import Snapshot
from pgtv.errors import SnapshotError, UsageError
from pgtv.rows.document import result_document, result_from
from pgtv.rows.result import Result, State

SCHEMA = "pgtv.verify-run/1"


def load(path: Path, snapshot: Snapshot, mode: str) -> list[Result]:
    """The finished results of an earlier run; none when the file does not exist.

    Raises SnapshotError for a file that is none, UsageError for one of another database or mode.
    """
    if not path.exists():
        return []
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise SnapshotError(f"cannot read {path}: {e}", "delete it to begin anew") from None
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise SnapshotError(f"{path} is no file of verify --resume", "name another file")
    here = snapshot.server.is_database(raw.get("system_identifier"), raw.get("database_oid"))
    if not here or raw.get("mode") != mode:
        raise UsageError(
            f"{path} belongs to a run on another database, or in another mode", "name another file"
        )
    oids = {t.table_oid for t in snapshot.tviews}
    results = [result_from(r, str(path)) for r in raw.get("finished") or ()]
    return [r for r in results if r.table_oid in oids]


def save(path: Path, snapshot: Snapshot, mode: str, results: Sequence[Result]) -> None:
    """Write atomically, for the owner alone: values of rows are in it.

    Raises SnapshotError when it cannot be written.
    """
    finished = [r for r in results if r.state not in (State.UNKNOWN, State.SKIPPED)]
    raw = {
        "schema": SCHEMA,
        "system_identifier": snapshot.server.system_identifier,
        "database_oid": snapshot.server.database_oid,
        "mode": mode,
        "finished": [result_document(r) for r in finished],
    }
    partial = path.with_name(path.name + ".partial")
    try:
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(raw, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as e:
        raise SnapshotError(f"cannot write {path}: {e.strerror}") from None
