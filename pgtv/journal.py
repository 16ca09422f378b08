"""What batches overwrote, line by line beside the receipt, from their commit until the receipt has it.

A receipt is written whole, every few seconds (see pgtv.saving): too late for one whose run is killed, too
much to be written with each batch. The file is left behind only by a run that was killed, or could not
write its receipt.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.errors import UsageError

if TYPE_CHECKING:
    from pgtv.rows.transaction import Done
    from pgtv.rows.written import RefreshedTview

KILLED = "the run was killed: rows of the batch that it was at may be missing here"
SUFFIX = ".batches"  # what of it a run that was killed leaves, see pgtv.cli.leftovers
_OF_BATCHES = frozenset({"keys", "overwritten"})  # what of an entry their lines have
Batches = Callable[[str, "Done"], None]


class Journal:
    """Of one receipt, for all threads of a run."""

    def __init__(self, receipt: Path) -> None:
        """To be made once the receipt holds what an earlier run left here."""
        self._path = beside(receipt)
        self.kept = receipt.is_file()  # beside a pipe or a device there is nothing
        self._open: set[str] = set()
        self._turn = threading.Lock()
        if self.kept:
            self._path.unlink(missing_ok=True)

    def batch(self, tview: str, done: Done, database: str | None = None) -> None:
        """Add a batch that was committed. database: where a run acts on several. Raises UsageError."""
        if not self.kept:
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

    def end(self, one: RefreshedTview) -> None:
        """Add how a TVIEW ended. Raises UsageError."""
        if not self.kept:
            return
        with self._turn:
            self._open.add(one["tview"])
            self._write({"tview": one["tview"], "end": _told(one)})

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

    def close(self) -> Path | None:
        """The run ended: what the receipt has all of is not kept twice. Gives the file where it stays, for
        it has what the receipt lacks."""
        if self.kept and not self._open:
            self._path.unlink(missing_ok=True)
        return self._path if self._open else None


def beside(receipt: Path) -> Path:
    """Where the lines of this receipt are."""
    return receipt.with_name(receipt.name + SUFFIX)


def left(receipt: Path, has: Iterable[RefreshedTview] = ()) -> list[RefreshedTview]:
    """What a run that was killed had written, as entries of its receipt, but those that it has already.
    Raises UsageError."""
    there = [_told(one) for one in has]
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
            elif "end" in line:
                if _told(line["end"]) in there:  # it was killed before it could say so
                    found.pop(line["tview"], None)
                else:
                    _end(found.setdefault(line["tview"], _none(line["tview"])), line["end"])
            else:
                _add(found.setdefault(line["tview"], _none(line["tview"])), line)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # cut off, with the disk full
    return list(found.values())


def _told(one: Mapping[str, Any]) -> dict[str, Any]:
    """All of an entry but what the lines of its batches tell."""
    return {k: v for k, v in one.items() if k not in _OF_BATCHES}


def _none(tview: str) -> RefreshedTview:
    return {
        "tview": tview, "end": "unknown", "differing": 0, "at_least": True, "inserted": 0,
        "updated": 0, "deleted": 0, "batches": 0, "rounds": 0, "retries": 0, "seconds": 0.0,
        "waited_seconds": 0.0, "longest_batch_seconds": 0.0, "grew_bytes": 0, "reason": KILLED,
        "keys": [], "all_keys": False, "overwritten": [], "complete": False,
    }  # fmt: skip


def _end(one: RefreshedTview, told: Mapping[str, Any]) -> None:
    """How it ended, instead of what its batches let know of that."""
    if told.keys() != one.keys() - _OF_BATCHES:
        raise ValueError
    # one that a writer put back was written again
    one["keys"] = [list(k) for k in dict.fromkeys(map(tuple, one["keys"]))]
    one.update(told)  # type: ignore[typeddict-item]


def _add(one: RefreshedTview, line: dict[str, Any]) -> None:
    one["batches"] += 1
    one["inserted"] += line["inserted"]
    one["updated"] += line["updated"]
    one["deleted"] += line["deleted"]
    one["keys"] += line["keys"]
    one["overwritten"] += line["overwritten"]
