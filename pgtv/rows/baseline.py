"""What is kept of a TVIEW that was found equal, so that the next verification can begin there.

Of each relation: how many rows there were, the sum of hashes of what leads from a row to keys, and
the transactions that had ended although their numbers were not below the snapshot's horizon. A
version that was there is recognised later by its transaction; such versions can only become fewer,
so count and sum of those that are left tell how many went, and what they led to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pgtv.rows.scan import Horizon, Scan, Young, after

FORMAT = 1
MOST_XIDS = 10_000  # transactions above the horizon that a baseline lists


@dataclass(frozen=True)
class Side:
    """One relation at the baseline's moment. recent: transactions above the horizon, 32 bits."""

    rows: int
    total: int
    highest: int | None
    recent: frozenset[int]


@dataclass(frozen=True)
class Baseline:
    """A TVIEW's table and relations, by OID, when all its rows were equal.

    horizon: transactions below it (64 bits) had ended. fingerprint: of everything else that the
    definition's result depends on. compared_at: when every row was compared, at the start of this
    chain of verifications.
    """

    horizon: int
    fingerprint: str
    at: str
    lsn: str
    compared_at: str
    sides: Mapping[int, Side]

    def document(self) -> dict[str, Any]:
        """As plain JSON types; sums as text, they have more bits than numbers there."""
        return {
            "format": FORMAT,
            "horizon": str(self.horizon),
            "fingerprint": self.fingerprint,
            "at": self.at,
            "lsn": self.lsn,
            "compared_at": self.compared_at,
            "sides": {
                str(oid): {
                    "rows": s.rows,
                    "total": str(s.total),
                    "highest": s.highest,
                    "recent": sorted(s.recent),
                }
                for oid, s in self.sides.items()
            },
        }


def from_document(raw: Any) -> Baseline | None:
    """A baseline back from its document; None for one of another format."""
    try:
        if raw["format"] != FORMAT:
            return None
        sides = {
            int(oid): Side(
                int(s["rows"]), int(s["total"]), s["highest"], frozenset(map(int, s["recent"]))
            )
            for oid, s in raw["sides"].items()
        }
        return Baseline(
            int(raw["horizon"]),
            raw["fingerprint"],
            raw["at"],
            raw["lsn"],
            raw["compared_at"],
            sides,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


@dataclass(frozen=True)
class Change:
    """How a relation's rows changed since a baseline.

    new: versions that were not there. gone, gone_total: versions that are there no more, and the
    sum of their hashes. highest: the greatest serial of then.
    """

    new: tuple[Young, ...]
    gone: int
    gone_total: int
    highest: int | None
    rows: int  # how many more there are than then
    total: int

    @property
    def none(self) -> bool:
        return not (self.new or self.gone or self.gone_total)

    @property
    def settled(self) -> bool:
        """Whether each version that went has a new one that leads to the same keys.

        Versions above the greatest serial of then cannot replace one; leaving them out is a guess
        that the sums prove right or wrong.
        """
        instead = [
            y for y in self.new
            if self.highest is None or y.serial is None or y.serial <= self.highest
        ]  # fmt: skip
        return self.gone == len(instead) and self.gone_total == sum(y.hash for y in instead)


def change(side: Side, scan: Scan) -> Change:
    """Compare a scan, whose young versions are those that the baseline does not know, with it."""
    rows = scan.rows or 0
    kept, kept_total = rows - len(scan.young), scan.total - sum(y.hash for y in scan.young)
    return Change(
        scan.young, side.rows - kept, side.total - kept_total, side.highest,
        rows - side.rows, scan.total - side.total,
    )  # fmt: skip


def side(scan: Scan, horizon: Horizon, known: Collection[int] = ()) -> Side | None:
    """What to keep of a scan that counted rows; `known` are the recent ones that it left out.

    A transaction that is not listed as recent only has its rows looked at again.
    """
    if scan.rows is None:
        return None
    span = horizon.following - horizon.xid
    xids = {y.xid for y in scan.young} | set(known)
    recent = sorted(x for x in xids if after(x, horizon.xid, span))[:MOST_XIDS]
    return Side(scan.rows, scan.total, scan.highest, frozenset(recent))
