"""UNLOGGED TVIEWs that a base backup or a crash left empty."""

from __future__ import annotations

from pgtv.catalog import dialects
from pgtv.catalog.model import Snapshot


def filling(snapshot: Snapshot) -> str | None:
    """The statement by which the extension fills them again; None where all have their rows."""
    unlogged = {r.oid for r in snapshot.relations if r.persistence == "u"}
    # early releases keep no record of whether rows can be trusted
    if any(
        t.valid is False or (t.valid is None and t.table_oid in unlogged) for t in snapshot.tviews
    ):
        return dialects.named(snapshot.extension.generation).rebuild_empty()
    return None
