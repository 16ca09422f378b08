"""What a snapshot knows of earlier verifications."""

from __future__ import annotations

from pgtv.catalog.model import Snapshot, Tview, Verification


def latest(snapshot: Snapshot) -> dict[int, Verification]:
    """The newest verification of each TVIEW by its table's OID.

    A record counts for the very table that was verified: neither for one of the same name that was
    made anew since, nor under the name that a table had before it was renamed.
    """
    names = {t.label: t.table_oid for t in snapshot.tviews}
    known = set(names.values())
    found: dict[int, Verification] = {}
    for v in snapshot.verifications:
        oid = v.table_oid if v.table_oid is not None else names.get(v.table_name)
        if oid in known and (oid not in found or found[oid].age_seconds > v.age_seconds):
            found[oid] = v
    return found


def drifted(snapshot: Snapshot) -> frozenset[int]:
    """Tables, by OID, on record as differing: nothing says that those rows were brought since."""
    return frozenset(
        oid for oid, v in latest(snapshot).items() if v.differing and v.brought_at is None
    )


def may_differ(tview: Tview) -> bool:
    """Whether its contents may rightly differ from its definition between refreshes."""
    return tview.time_dependent or (bool(tview.uncascaded) and tview.uncascaded_policy == "warn")
