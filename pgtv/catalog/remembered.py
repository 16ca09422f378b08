"""What pgtv wrote down in this database: verifications and leases, out of the schema `pgtv`.

The tables are read as pgtv.kept says, for anybody may have made them; what is joined, chosen and
counted is so here. Records of another server or database, which a restored copy brings along, are
left out: a copy does not boast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pgtv import kept
from pgtv.catalog import model
from pgtv.catalog.asking import Answer, Asking, Row

MERGE = "merge"  # the mode of a record that is no verification: see pgtv.rows.state
NEEDS = ("USAGE on schema pgtv and SELECT on its tables",)
_PLACE = {"system_identifier": "text", "database_oid": "oid"}
_VERIFICATION = {
    "table_name": "text", "verified_at": "text", "differing": "int8", "rows": "int8",
    "table_oid": "oid",
}  # fmt: skip
_LEASE = {
    "id": "int8", "taken_at": "text", "until": "text", "reason": "text", "taken_by": "text",
    "entities": "text[]", "owed": "text[]", "enabled_at": "text", "enabled_by": "text",
}  # fmt: skip
_TRIGGER = {
    "lease": "int8", "entity": "text", "relation": "oid", "relation_name": "text",
    "trigger": "oid", "trigger_name": "text", "enabled": "text",
}  # fmt: skip


def verifications(
    run: Asking, state: Answer, server: model.Server
) -> tuple[model.Verification, ...]:
    """The newest of each table, and whether what it found was brought since."""
    wanted = _VERIFICATION | {"mode": "text"} | _PLACE
    rows = _rows(run, "verifications", state, "verification", wanted)
    newest: dict[str, tuple[float, Row]] = {}
    brought: dict[int, tuple[float, str]] = {}
    counts: Counter[str] = Counter()
    try:
        for row in _here(run, "verifications", rows, server):
            at = moment(row["verified_at"])
            counts[row["table_name"]] += 1
            if row["mode"] == MERGE:
                one = (at, row["verified_at"])
                brought[row["table_oid"]] = max(brought.get(row["table_oid"], one), one)
            elif row["table_name"] not in newest or at > newest[row["table_name"]][0]:
                newest[row["table_name"]] = (at, row)
        return tuple(
            model.Verification(
                **_only(row, _VERIFICATION), age_seconds=state.row()["now"] - at,
                brought_at=_since(brought.get(row["table_oid"]), at),
                records=counts[row["table_name"]],
            )
            for at, row in (newest[name] for name in sorted(newest))
        )  # fmt: skip
    except (TypeError, ValueError) as e:  # no constraints keep the records from being anything
        run.gap("verifications", f"pgtv.verification cannot be read: {e}")
        return ()


def _since(merge: tuple[float, str] | None, verified: float) -> str | None:
    """The merge's moment, where it began with the verification's own comparison or a later one."""
    return merge[1] if merge is not None and merge[0] >= verified else None


def leases(run: Asking, state: Answer, server: model.Server) -> tuple[model.Lease, ...]:
    """Those that hold a trigger or owe rows."""
    rows = _rows(run, "leases", state, "lease", _LEASE | _PLACE)
    triggers = _rows(run, "leases", state, "lease_trigger", _TRIGGER) if rows else []
    try:
        held: dict[int, list[model.LeasedTrigger]] = {}
        for t in sorted(triggers, key=lambda t: (t["relation_name"], t["trigger_name"])):
            one = model.LeasedTrigger(
                t["entity"], t["relation"], t["relation_name"], t["trigger"], t["trigger_name"],
                t["enabled"],
            )  # fmt: skip
            held.setdefault(t["lease"], []).append(one)
        return tuple(
            _lease(row, tuple(held.get(row["id"], ())), state.row()["now"])
            for row in sorted(_here(run, "leases", rows, server), key=lambda r: r["id"])
            if row["id"] in held or row["owed"]
        )
    except (TypeError, ValueError) as e:
        run.gap("leases", f"pgtv.lease cannot be read: {e}")
        return ()


def _lease(row: Row, triggers: tuple[model.LeasedTrigger, ...], now: float) -> model.Lease:
    known = _only(row, _LEASE)
    known |= {"entities": tuple(row["entities"]), "owed": tuple(row["owed"])}
    left = moment(row["until"]) - now
    return model.Lease(**known, remaining_seconds=left, triggers=triggers)


def moment(text: str) -> float:
    """Seconds since the epoch, of a timestamp as the server prints it. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _rows(
    run: Asking, section: str, state: Answer, table: str, columns: Mapping[str, str]
) -> list[Row]:
    """All rows; none where the table is not there. What stands in its place is a Gap."""
    row = state.row()
    if table in (row.get("others") or ()):
        run.gap(
            section,
            f"pgtv.{table} is no table, so it is not read: pgtv did not make it (owner {row['owner']});"
            " rename or drop that schema, then: pgtv init",
        )
    if table not in (row.get("tables") or ()):
        return []
    return run.copy(section, kept.SCHEMA, table, columns, NEEDS).rows() or []


def _here(run: Asking, section: str, rows: Iterable[Row], server: model.Server) -> list[Row]:
    if rows and server.system_identifier is None:
        run.gap(
            section,
            "whether records are of this server is not known: it does not tell its identifier",
        )
    here = (server.system_identifier, server.database_oid)
    return [r for r in rows if (r["system_identifier"], r["database_oid"]) == here]


def _only(row: Row, columns: Mapping[str, str]) -> dict[str, Any]:
    return {c: row[c] for c in columns}
