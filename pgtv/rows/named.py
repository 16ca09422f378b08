"""The rows that a report of verify names, for writing those instead of comparing everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pgtv.catalog.model import Snapshot
from pgtv.errors import UsageError
from pgtv.rows.document import SCHEMA, result_from
from pgtv.rows.merge_sql import Key
from pgtv.rows.result import Result
from pgtv.rows.state import Compared, recordable

HINT = "make one: pgtv verify --format json --limit 100000 -o report.json"


@dataclass(frozen=True)
class Named:
    """keys: by OID of a TVIEW's table. short: (TVIEW, rows named, rows that differed) where the
    report names only some. whole: where it names all that differed, when that was."""

    keys: dict[int, tuple[Key, ...]]
    short: tuple[tuple[str, int, int], ...] = ()
    whole: Mapping[int, Compared] = field(default_factory=dict)


def load(path: Path, snapshot: Snapshot) -> Named:
    """The differing rows of a report, of this very database.

    Raises UsageError, and SnapshotError for a damaged report.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(f"cannot read report {path}: {e.strerror or e}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is not JSON", HINT) from None
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise UsageError(f"{path} is no report of schema {SCHEMA}", HINT)
    server = snapshot.server
    if not server.is_database(raw.get("system_identifier"), raw.get("database_oid")):
        raise UsageError(f"{path} is a report of another database: {raw.get('database')}")
    entries = raw.get("tviews")
    if not isinstance(entries, list):
        raise UsageError(f"{path} has no list of TVIEWs", HINT)
    return named([result_from(entry, str(path)) for entry in entries], snapshot)


def named(results: Sequence[Result], snapshot: Snapshot) -> Named:
    """The rows of results, for the TVIEWs as they are now. Raises UsageError where they are others."""
    keys: dict[int, tuple[Key, ...]] = {}
    short = []
    whole = {}
    for result in results:
        if not result.differences:
            continue
        tview = snapshot.tview_by_table.get(result.table_oid)
        if tview is None or tview.identity != result.keys:
            raise UsageError(
                f"the report names rows of {result.tview}, which is another TVIEW now or none",
                "verify again",
            )
        keys[tview.table_oid] = tuple(d.key for d in result.differences)
        if result.differing > len(result.differences):
            short.append((result.tview, len(result.differences), result.differing))
        elif recordable(result) and result.verified_at:
            whole[tview.table_oid] = Compared(result.verified_at, result.lsn)
    return Named(keys, tuple(short), whole)
