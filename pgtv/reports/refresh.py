"""What a refresh did, as lines for people and as the document of its receipt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pgtv import __version__
from pgtv.catalog.model import Snapshot
from pgtv.person import account
from pgtv.reports.documents import RefreshDocument, RefreshRun
from pgtv.rows.bring import Brought, End
from pgtv.rows.written import RefreshedTview, entry
from pgtv.shown import printable

SCHEMA = "pgtv.refresh/1"
BLOATED = 0.2  # share of dead rows from which a VACUUM is proposed; autovacuum's own default


def line(b: Brought, rows: float = -1.0) -> str:
    """One TVIEW's line. rows: about how many it has, by statistics."""
    m = b.merged
    text = f"{b.end:10} {printable(b.tview)}"
    if b.differing:
        one = b.differing == 1
        more = "at least " if b.at_least else ""
        verb = "differed" if m.batches else ("differs" if one else "differ")
        text += f"  {more}{b.differing:,} {'row' if one else 'rows'} {verb}"
    if m.written:
        text += (
            f": {m.counts} in {m.batches:,} {'batch' if m.batches == 1 else 'batches'}"
            f" (longest {m.longest_batch:.1f} s),"
            f" {m.waited:.1f} s waited for writers"
        )
    text += f"  {b.seconds:.1f} s"
    if 0 < rows < (m.updated + m.deleted) / BLOATED:
        text += f"\n           grew by {b.grew_bytes / 1e6:,.1f} MB: VACUUM (ANALYZE) {b.tview};"
    return text + (f"\n           {printable(b.reason)}" if b.reason else "")


@dataclass(frozen=True)
class Earlier:
    """What a run goes on from: who ran before it, and the entries of those."""

    tviews: Sequence[RefreshedTview] = ()
    runs: Sequence[RefreshRun] = ()


def begun(by: str, server_started_at: str | None) -> RefreshRun:
    """A run that begins now. by: the login."""
    return {
        "by": by, "started_from": account(), "started_at": now(), "finished_at": None,
        "server_started_at": server_started_at,
        "pgtv_version": __version__, "outcome": "running",
    }  # fmt: skip


def run_of(document: Mapping[str, Any]) -> RefreshRun | None:
    """The run that wrote a receipt; None for one of early versions. Raises TypeError for a damaged one."""
    if "started_at" not in document:
        return None
    told = [document.get(name) for name in RefreshRun.__annotations__]
    if not all(value is None or isinstance(value, str) for value in told):
        raise TypeError
    return cast(RefreshRun, dict(zip(RefreshRun.__annotations__, told, strict=True)))


def document(
    snapshot: Snapshot,
    applied: bool,
    run: RefreshRun,
    ended: Sequence[Brought],
    earlier: Earlier = Earlier(),
) -> RefreshDocument:
    """The receipt."""
    return {
        "schema": SCHEMA,
        "database": snapshot.server.database,
        "database_oid": snapshot.server.database_oid,
        "system_identifier": snapshot.server.system_identifier,
        "applied": applied,
        **run,
        "tviews": [*earlier.tviews, *(entry(b) for b in ended)],
        "earlier": list(earlier.runs),
    }


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def finished(entries: Iterable[RefreshedTview]) -> dict[str, RefreshedTview]:
    """Of a receipt's entries, those of TVIEWs that need not be looked at again."""
    done = (End.EQUAL.value, End.MERGED.value, End.MAY_DIFFER.value)
    return {t["tview"]: t for t in entries if t["end"] in done}


def carried(entries: Iterable[RefreshedTview], again: Collection[str]) -> list[RefreshedTview]:
    """What the receipt of a resumed run keeps of these: all but what wrote nothing of TVIEWs that are
    brought `again`, and no end of such a one that a further run would take for the last."""
    kept = []
    for one in entries:
        if one["tview"] not in again:
            kept.append(one)
        elif one["inserted"] + one["updated"] + one["deleted"]:
            reason = one["reason"] or "brought again by the run that went on"
            kept.append({**one, "end": End.UNKNOWN.value, "reason": reason})
    return kept
