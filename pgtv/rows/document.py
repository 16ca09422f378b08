"""Results of verification as JSON, schema pgtv.verify/1, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pgtv.catalog.model import Snapshot
from pgtv.errors import SnapshotError
from pgtv.rows.paths import PathDiff
from pgtv.rows.result import Difference, Fault, Result, State, exit_code
from pgtv.rows.since import BLIND

SCHEMA = "pgtv.verify/1"


def document(
    snapshot: Snapshot, results: Sequence[Result], not_recorded: str | None = None
) -> dict[str, Any]:
    """The report as plain JSON types."""
    server = snapshot.server
    return {
        "schema": SCHEMA,
        "status": {0: "equal", 2: "differs", 3: "unknown"}[int(exit_code(results))],
        "exit_code": int(exit_code(results)),
        "pgtv_version": snapshot.pgtv_version,
        "taken_at": snapshot.taken_at,
        "database": server.database,
        "database_oid": server.database_oid,
        "system_identifier": server.system_identifier,
        "host": server.host,
        "port": server.port,
        "in_recovery": server.in_recovery,
        "recorded": not_recorded is None,
        "not_recorded": not_recorded,
        "counts": {str(s): sum(1 for r in results if r.state is s) for s in State},
        "tviews": [result_document(r) for r in results],
    }


def result_document(r: Result) -> dict[str, Any]:
    """One TVIEW's result as plain JSON types."""
    return {
        "tview": r.tview,
        "entity": r.entity,
        "table_oid": r.table_oid,
        "state": str(r.state),
        "mode": r.mode,
        "identity": list(r.keys),
        "rows": r.rows,
        "missing": r.missing,
        "extra": r.extra,
        "changed": r.changed,
        "differing": r.differing,
        "complete": len(r.differences) >= r.differing,
        "differences": [difference_document(d) for d in r.differences],
        "faults": list(r.faults),
        "reason": r.reason,
        "hint": r.hint,
        "needs": list(r.needs),
        "may_differ": r.apart,
        "wrong_upstream": list(r.wrong_upstream),
        "ignored_columns": list(r.ignored_columns),
        "lsn": r.lsn,
        "verified_at": r.verified_at,
        "seconds": r.seconds,
        "evaluated_as": r.evaluated_as,
        "resumed": r.resumed,
        "since": _since(r),
    }


def difference_document(d: Difference) -> dict[str, Any]:
    """One differing row as plain JSON types."""
    return {
        "kind": d.kind,
        "key": list(d.key),
        "fault": str(d.fault),
        "inherited_from": list(d.inherited_from),
        "places": d.places,
        "paths": [{"path": p.path, "definition": p.expected, "table": p.found} for p in d.paths],
    }


def _since(r: Result) -> dict[str, Any] | None:
    s = r.since
    if s is None:
        return None
    return {
        "at": s.at,
        "lsn": s.lsn,
        "compared_at": s.compared_at,
        "changed": s.changed,
        "keys": s.keys,
        "whole": s.whole,
        "cannot_see": [] if s.whole else list(BLIND),
    }


def result_from(raw: Any, where: str) -> Result:
    """A result back from its document. Raises SnapshotError for what is none."""
    try:
        return Result(
            tview=raw["tview"],
            entity=raw["entity"],
            state=State(raw["state"]),
            mode=raw["mode"],
            keys=tuple(raw["identity"]),
            table_oid=int(raw["table_oid"]),
            rows=raw["rows"],
            missing=raw["missing"],
            extra=raw["extra"],
            changed=raw["changed"],
            differences=tuple(_difference(d) for d in raw["differences"]),
            faults=tuple(raw["faults"]),
            reason=raw["reason"],
            hint=raw["hint"],
            needs=tuple(raw["needs"]),
            apart=raw["may_differ"],
            lsn=raw["lsn"],
            verified_at=raw["verified_at"],
            seconds=float(raw["seconds"]),
            evaluated_as=raw["evaluated_as"],
            ignored_columns=tuple(raw["ignored_columns"]),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise SnapshotError(f"{where} is no result of verify: {e}") from None


def _difference(d: Any) -> Difference:
    return Difference(
        d["kind"],
        tuple(d["key"]),
        tuple(PathDiff(p["path"], p["definition"], p["table"]) for p in d["paths"]),
        d["places"],
        Fault(d["fault"]),
        tuple(d["inherited_from"]),
    )


def render(snapshot: Snapshot, results: Sequence[Result], not_recorded: str | None = None) -> str:
    """One JSON document with a newline at its end."""
    return (
        json.dumps(document(snapshot, results, not_recorded), ensure_ascii=False, indent=2) + "\n"
    )
