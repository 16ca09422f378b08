"""Findings as JSON, schema pgtv.doctor/1."""

from __future__ import annotations

import json
from typing import Any

from pgtv.checks.examine import Examination, State
from pgtv.errors import Exit
from pgtv.finding import Finding
from pgtv.reports.layout import status

SCHEMA = "pgtv.doctor/1"


def document(examination: Examination, exit: Exit | None = None) -> dict[str, Any]:
    """The report as plain JSON types; `exit` is the run's exit code where options changed it."""
    snapshot = examination.snapshot
    return {
        "schema": SCHEMA,
        "status": status(examination.exit),
        "exit_code": int(examination.exit if exit is None else exit),
        "taken_at": snapshot.taken_at,
        "pgtv_version": snapshot.pgtv_version,
        "database": snapshot.server.database,
        "host": snapshot.server.host,
        "port": snapshot.server.port,
        "server_version": snapshot.server.version,
        "in_recovery": snapshot.server.in_recovery,
        "extension_version": snapshot.extension.version,
        "tviews": len(snapshot.tviews),
        "elapsed_ms": round(snapshot.elapsed_ms + examination.elapsed_ms, 1),
        "counts": {s.value: examination.state_count(s) for s in State},
        "findings": [finding_document(f) for f in examination.findings],
        "checks": [
            {
                "id": o.check.id,
                "state": o.state.value,
                "reason": o.reason,
                "elapsed_ms": o.elapsed_ms,
            }
            for o in examination.outcomes
        ],
        "silenced": list(examination.silenced),
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    """One finding as plain JSON types."""
    remedy = finding.remedy
    return {
        "id": finding.id,
        "check": finding.check,
        "severity": finding.severity.value,
        "effect": finding.effect.value,
        "object": finding.object,
        "title": finding.title,
        "detail": finding.detail,
        "affects": list(finding.affects),
        "caused_by": finding.caused_by,
        "needs": list(finding.needs),
        "evidence": [dict(e) for e in finding.evidence],
        "remedy": None
        if remedy is None
        else {
            "sql": list(remedy.sql),
            "command": remedy.command,
            "role": remedy.role,
            "locks": list(remedy.locks),
            "undo": remedy.undo,
            "note": remedy.note,
            "decide": remedy.decide,
        },
    }


def render(examination: Examination, exit: Exit | None = None) -> str:
    """One JSON document with a newline at its end."""
    text = json.dumps(document(examination, exit), ensure_ascii=False, indent=2, default=str)
    return text + "\n"
