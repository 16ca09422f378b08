"""What batches overwrote, line by line beside the receipt, from their commit until the receipt has it.

A receipt is written whole, as a TVIEW ends: too late for one whose run is killed, too much to be written
with each batch. The file is left behind only by a run that was killed, or could not write its receipt.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.errors import UsageError

if TYPE_CHECKING:
    from pgtv.rows.transaction import Done
    from pgtv.rows.written import RefreshedTview

KILLED = "the run was killed: rows of the batch that it was at may be missing here"
SUFFIX = ".batches"  # what of it a run that was killed leaves, see pgtv.cli.leftovers
Batches = Callable[[str, "Done"], None]


class Journal:
    """Of one receipt, for all threads of a run."""

    def __init__(self, receipt: Path) -> None:
        """To be made once the receipt holds what an earlier run left here."""
        self._path = beside(receipt)
        self._kept = receipt.is_file()  # beside a pipe or a device there is nothing
        self._open: set[str] = set()
        self._turn = threading.Lock()
        if self._kept:
            self._path.unlink(missing_ok=True)

    def batch(self, tview: str, done: Done, database: str | None = None) -> None:
        """Add a batch that was committed. database: where a run acts on several. Raises UsageError."""
        if not self._kept:
            return
        line: dict[str, Any] = {} if database is None else {"database": database}
        line |= {
            "tview": tview, "inserted": done.inserted, "updated": done.updated,
            "deleted": done.deleted, "keys": done.keys,
            "overwritten": [{"kind": o.kind, "key": o.key, "old": o.old} for o in done.overwritten],
        }  # fmt: skip
        with self._turn:
            self._open.add(tview)
            self._write(line)

    def ended(self, tview: str) -> None:
        """The receipt has all of this TVIEW. Raises UsageError."""
        with self._turn:
            if tview in self._open:
                self._open.remove(tview)
                self._write({"tview": tview, "ended": True})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as opened:
                opened.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as e:
            raise UsageError(f"cannot write {self._path}: {e.strerror or e}") from None

    def close(self) -> None:
        """The run ended: what the receipt has all of is not kept twice."""
        if self._kept and not self._open:
            self._path.unlink(missing_ok=True)


def beside(receipt: Path) -> Path:
    """Where the lines of this receipt are."""
    return receipt.with_name(receipt.name + SUFFIX)


def left(receipt: Path) -> list[RefreshedTview]:
    """What a run that was killed had written, as entries of its receipt. Raises UsageError."""
    found: dict[str, RefreshedTview] = {}
    try:
        # not splitlines: U+2028 and its like, which JSON leaves as they are, end no line here
        lines = beside(receipt).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"cannot read {beside(receipt)}: {e}") from None
    for text in lines:
        try:
            line = json.loads(text)
            if line.get("ended"):
                found.pop(line["tview"], None)
            else:
                _add(found.setdefault(line["tview"], _none(line["tview"])), line)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # cut off, with the disk full
    return list(found.values())


def _none(tview: str) -> RefreshedTview:
    return {
        "tview": tview, "end": "unknown", "differing": 0, "at_least": True, "inserted": 0,
        "updated": 0, "deleted": 0, "batches": 0, "rounds": 0, "retries": 0, "seconds": 0.0,
        "waited_seconds": 0.0, "longest_batch_seconds": 0.0, "grew_bytes": 0, "reason": KILLED,
        "keys": [], "all_keys": False, "overwritten": [], "complete": False,
    }  # fmt: skip


def _add(one: RefreshedTview, line: dict[str, Any]) -> None:
    one["batches"] += 1
    one["inserted"] += line["inserted"]
    one["updated"] += line["updated"]
    one["deleted"] += line["deleted"]
    one["keys"] += line["keys"]
    one["overwritten"] += line["overwritten"]
