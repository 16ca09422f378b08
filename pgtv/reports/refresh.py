"""What a refresh did, as lines for people and as the document of its receipt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pgtv.catalog.model import Snapshot
from pgtv.reports.documents import RefreshDocument, RefreshedTview
from pgtv.reports.layout import printable
from pgtv.rows.bring import Brought, End

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
            f": {m.inserted:,} inserted, {m.updated:,} changed, {m.deleted:,} deleted"
            f" in {m.batches:,} {'batch' if m.batches == 1 else 'batches'}"
            f" (longest {m.longest_batch:.1f} s),"
            f" {m.waited:.1f} s waited for writers"
        )
    text += f"  {b.seconds:.1f} s"
    if 0 < rows < (m.updated + m.deleted) / BLOATED:
        text += f"\n           grew by {b.grew_bytes / 1e6:,.1f} MB: VACUUM (ANALYZE) {b.tview};"
    return text + (f"\n           {printable(b.reason)}" if b.reason else "")


def document(
    snapshot: Snapshot,
    applied: bool,
    ended: Sequence[Brought],
    earlier: Iterable[RefreshedTview] = (),
) -> RefreshDocument:
    """The receipt. earlier: entries of TVIEWs that a resumed run had finished."""
    return {
        "schema": SCHEMA,
        "database": snapshot.server.database,
        "database_oid": snapshot.server.database_oid,
        "system_identifier": snapshot.server.system_identifier,
        "applied": applied,
        "tviews": [*earlier, *(_entry(b) for b in ended)],
    }


def _entry(b: Brought) -> RefreshedTview:
    m = b.merged
    return {
        "tview": b.tview, "end": b.end.value, "differing": b.differing, "at_least": b.at_least,
        "inserted": m.inserted, "updated": m.updated, "deleted": m.deleted, "batches": m.batches,
        "rounds": m.rounds, "retries": m.retries, "seconds": b.seconds,
        "waited_seconds": round(m.waited, 3), "longest_batch_seconds": round(m.longest_batch, 3),
        "grew_bytes": b.grew_bytes, "reason": b.reason,
        "keys": [list(k) for k in m.keys],
        "overwritten": [
            {"kind": o.kind, "key": list(o.key), "old": None if o.old is None else list(o.old)}
            for o in m.overwritten
        ],
        "complete": len(m.overwritten) >= m.written,
    }  # fmt: skip


def finished(document: RefreshDocument) -> dict[str, RefreshedTview]:
    """Of a receipt, the entries of TVIEWs that need not be looked at again."""
    done = (End.EQUAL.value, End.MERGED.value)
    return {t["tview"]: t for t in document["tviews"] if t["end"] in done}
