"""Findings about contents, as `pgtv doctor --verify` makes them."""

from __future__ import annotations

from bench import Bench

from pgtv.checks.contents import findings
from pgtv.finding import Finding, Severity
from pgtv.session import Target


def verified(b: Bench) -> list[Finding]:
    """Above info only. Definitions are evaluated without a superuser's rights, as doctor does it."""
    found = findings(Target(dbname=b.server.conninfo(b.name)), b.snapshot())
    return [f for f in found if f.severity is not Severity.INFO]
