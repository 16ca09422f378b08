"""What promoting a standby would lose, leave open or have to rebuild: a pure function of snapshots.

A standby shows neither the primary's prepared transactions nor its slots, so a snapshot of the primary
is asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects import named
from pgtv.catalog.model import Snapshot
from pgtv.catalog.waits import written_by
from pgtv.checks.resolving import age
from pgtv.errors import Exit, UsageError
from pgtv.finding import Severity
from pgtv.graph.edges import edges
from pgtv.lifecycle.promote import here as promote_here
from pgtv.lifecycle.promote import wal as promote_wal
from pgtv.lifecycle.verdict import Point, Verdict

_OUTCOME = {
    Exit.HEALTHY: "can be promoted, nothing of TVIEWs is lost",
    Exit.WARNING: "can be promoted, with work to do afterwards",
    Exit.CRITICAL: "promoting now would hurt",
    Exit.UNKNOWN: "cannot tell",
}


def judge(here: Snapshot, primary: Snapshot | None = None) -> Verdict:
    """The verdict for the server that `here` is of; primary: its primary, seen shortly before.

    Raises UsageError where the two are not of one cluster and database, or `primary` is a standby.
    """
    if gap := here.gap("tviews"):
        raise UsageError(f"the TVIEWs could not be seen: {gap.reason}")
    if here.server.in_recovery:
        _same(here, primary)
        points = [
            *promote_wal.points(here, primary), *promote_here.points(here), *_unlogged(here),
            *_of_primary(here, primary),
        ]  # fmt: skip
        facts = {**promote_wal.facts(here, primary), **promote_here.facts(here)}
    else:
        if primary:
            raise UsageError("this server is a primary itself", "connect to the standby")
        points = [*_standbys(here), *_unlogged(here), *_prepared(here), *_slots(here, here)]
        facts = {"server": "primary; said of promoting one of its standbys now"}
    subject = f"{here.server.database} on {here.server.host}:{here.server.port}"
    found = Verdict(subject, "", tuple(points), facts)
    return Verdict(subject, _OUTCOME[found.exit], found.points, facts)


def _same(here: Snapshot, primary: Snapshot | None) -> None:
    if primary is None:
        return
    if primary.server.in_recovery:
        raise UsageError("what was given as --primary is a standby")
    mine, its = here.server, primary.server
    if (mine.system_identifier, mine.database) != (its.system_identifier, its.database):
        raise UsageError("what was given as --primary is another cluster or database")


def _unlogged(here: Snapshot) -> Iterator[Point]:
    graph = edges(here)
    tables = [here.by_oid[t.table_oid] for t in here.tviews if t.table_oid in here.by_oid]
    reset = [r for r in tables if r.persistence == "u"]
    if reset:
        counts = [r.reltuples for r in reset]
        rows = f"about {sum(max(c, 0) for c in counts):,.0f} rows" + (
            " (some were never analyzed)" if min(counts) < 0 else ""
        )
        yield Point(
            "unlogged-tviews",
            Severity.WARNING,
            f"UNLOGGED TVIEWs are empty after a promotion; {rows} are written again, by the extension's "
            "worker or before the first write.",
            tuple(r.qualified for r in reset),
            (named(here.extension.generation).rebuild_empty(),),
        )
    read = set(graph.upstream([t.table_oid for t in here.tviews])) - {r.oid for r in tables}
    bases = sorted(
        r.qualified for o in read
        if (r := here.by_oid.get(o)) and r.persistence == "u" and r.kind in "rm"
    )  # fmt: skip
    if bases:
        yield Point(
            "unlogged-bases",
            Severity.CRITICAL,
            "Tables that TVIEWs read are UNLOGGED: their rows are gone after a promotion, and nothing "
            "brings them back.",
            tuple(bases),
        )


def _of_primary(here: Snapshot, primary: Snapshot | None) -> Iterator[Point]:
    if primary is None:
        yield Point(
            "primary-unseen",
            Severity.UNKNOWN,
            "A standby shows neither prepared transactions, which are there again after a promotion, "
            "nor slots, which are not.",
            cure=(
                "--primary 'host=…'   # or, saved there just before: --primary primary.json",
                "after a promotion without it: pgtv 2pc list",
            ),
        )
        return
    yield from _prepared(primary)
    yield from _slots(primary, here)


def _prepared(primary: Snapshot) -> Iterator[Point]:
    if gap := primary.gap("prepared") or primary.gap("locks"):
        yield Point(
            "prepared-unseen", Severity.UNKNOWN,
            f"Prepared transactions could not be seen: {gap.reason}",
        )  # fmt: skip
        return
    mine = [p for p in primary.prepared if p.database == primary.server.database]
    graph = edges(primary)
    unlogged = {r.oid for r in primary.relations if r.persistence == "u"}
    hurt: dict[str, list[str]] = {}
    for one in mine:
        for tview in graph.affected(written_by(primary, one)):
            if tview.table_oid in unlogged:
                hurt.setdefault(one.gid, []).append(tview.label)
    if hurt:
        tables = tuple(dict.fromkeys(label for found in hurt.values() for label in found))
        yield Point(
            "prepared-unlogged",
            Severity.CRITICAL,
            f"Prepared transactions {', '.join(map(repr, hurt))} wrote rows of UNLOGGED TVIEWs. After a "
            "promotion these are refilled without them; COMMIT PREPARED then brings the base rows "
            "alone, and nothing tells that the TVIEWs are wrong.",
            tables,
            (
                "pgtv 2pc list   # end them on the primary before",
                "pgtv refresh --apply   # after COMMIT PREPARED, where they were promoted with it",
            ),
        )
    rest = [p.gid for p in mine if p.gid not in hurt]
    if rest:
        yield Point(
            "prepared",
            Severity.WARNING,
            f"Prepared transactions {', '.join(map(repr, rest))} are there after a promotion and hold "
            "their locks until somebody ends them on the new primary.",
            cure=("pgtv 2pc list",),
        )


def _slots(primary: Snapshot, here: Snapshot) -> Iterator[Point]:
    there = {s.name for s in here.slots} if here is not primary else set[str]()
    lost = [
        s for s in primary.slots if s.name not in there and not (s.active and s.type == "physical")
    ]
    lost = [s for s in lost if s.database in (None, primary.server.database)]
    if lost:
        yield Point(
            "slots",
            Severity.WARNING,
            "Replication slots that are not on the standby: who reads them has to begin again"
            + (" (unless they are synchronised there)." if here is primary else "."),
            tuple(f"{s.name} ({s.type})" for s in lost),
        )


def _standbys(here: Snapshot) -> Iterator[Point]:
    if gap := here.gap("replicas"):
        yield Point(
            "standbys-unseen", Severity.UNKNOWN, f"Standbys could not be seen: {gap.reason}"
        )
        return
    streaming = [r for r in here.replicas if r.state == "streaming"]
    if not streaming:
        yield Point("no-standby", Severity.CRITICAL, "No standby is streaming from this server.")
    for one in streaming:
        if one.replay_lag_bytes:
            yield Point(
                "standby-behind",
                Severity.WARNING,
                f"Standby {one.name} ({one.sync_state}) has not replayed {one.replay_lag_bytes:,} bytes, "
                f"{age(one.replay_lag_seconds or 0.0)} behind; what it has not received by then is lost.",
            )
